// SPDX-License-Identifier: Apache-2.0
// `quipu bench resp`: loads one RESP server and says what an operation took and what it cost the
// server. Read the CPU first: on a shared machine it holds within a few per cent when throughput
// does not.
#include <stdlib.h>
#include "cli/bench_load.h"
#include "cli/options.h"

#define KEYS_MAX        100000000
#define CONNECTIONS_MAX 20000
#define PIPELINE_MAX    65536
#define DAY_MS          86400000

static const struct option rows[] = {
    {.name = "to",
     .type = OPTION_ENDPOINT,
     .initial = "127.0.0.1:7000",
     .help = "the server, ours or another that speaks RESP"},
    {.name = "op",
     .type = OPTION_CHOICE,
     .choices = BENCH_OPS,
     .initial = "incr",
     .help = "fill: adds 123456 to each key once, then ends; of the set: the keys are its members"},
    {.name = "connections",
     .type = OPTION_INTEGER,
     .initial = "50",
     .smallest = 1,
     .largest = CONNECTIONS_MAX,
     .help = "sockets that load at once"},
    {.name = "pipeline",
     .type = OPTION_INTEGER,
     .initial = "1",
     .smallest = 1,
     .largest = PIPELINE_MAX,
     .help = "requests a connection sends before it reads"},
    {.name = "keys",
     .type = OPTION_INTEGER,
     .initial = "1",
     .smallest = 1,
     .largest = KEYS_MAX,
     .help = "counter:00000000 and on, in a shuffled order"},
    {.name = "keys-per-mget",
     .type = OPTION_INTEGER,
     .initial = "32",
     .smallest = 1,
     .largest = 1024,
     .help = "how many keys an MGET asks for"},
    {.name = "rate",
     .type = OPTION_INTEGER,
     .initial = "0",
     .largest = 1000000000,
     .help = "operations a second, each timed from when it was due; 0: as fast as replies come"},
    {.name = "time",
     .type = OPTION_DURATION,
     .initial = "1s",
     .smallest = 1,
     .largest = DAY_MS,
     .help = "how long it measures"},
    {.name = "warm-up",
     .type = OPTION_DURATION,
     .initial = "200ms",
     .largest = DAY_MS,
     .help = "load before that, not counted"},
    {.name = "pid",
     .type = OPTION_INTEGER,
     .initial = "0",
     .largest = INT32_MAX,
     .help = "the server's process: tells its CPU an operation"},
    {.name = "cpu",
     .type = OPTION_INTEGER,
     .initial = "-1",
     .smallest = -1,
     .largest = 1023,
     .help = "pins the loader to this core; -1: none"},
    {.name = "json", .type = OPTION_FLAG, .help = "one line of JSON"},
    {0},
};

static const struct command command = {
    .name = "bench resp",
    .summary = "Loads one RESP server; tells throughput, latency and the server's CPU an "
               "operation.",
    .options = rows,
};

struct command_line {
    struct load_options load;
    const char *op_name;
    pid_t pid;
    int cpu;
    bool is_json;
};

static double microseconds(const struct histogram *latency, double quantile)
{
    return (double)histogram_quantile(latency, quantile) / 1000;
}

static void report(const struct command_line *line, const struct load_result *result)
{
    const struct meter_reading *reading = &result->reading;
    double operations = result->operations ? (double)result->operations : 1;
    double rate = operations / reading->seconds;
    double p50 = microseconds(result->latency_ns, 0.5);
    double p99 = microseconds(result->latency_ns, 0.99);
    double p999 = microseconds(result->latency_ns, 0.999);
    double server_us = reading->process_seconds * 1e6 / operations;
    double own_us = reading->own_seconds * 1e6 / operations;
    if (line->is_json) {
        printf("{\"op\":\"%s\",\"operations\":%llu,\"ops_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
               "\"p999_us\":%.1f,\"server_us\":%.4f,\"server_cores\":%.3f,\"loader_us\":%.4f,"
               "\"loader_cores\":%.3f,\"others_cores\":%.3f,\"errors\":%llu}\n",
               line->op_name, (unsigned long long)result->operations, rate, p50, p99, p999,
               server_us, reading->process_seconds / reading->seconds, own_us,
               reading->own_seconds / reading->seconds, reading->others_cores,
               (unsigned long long)result->tally.errors);
        return;
    }
    printf("%s  %u connections, pipeline %u, %u keys: %.0f ops/s, p50 %.0f us, p99 %.0f us, "
           "p99.9 %.0f us",
           line->op_name, line->load.connections, line->load.pipeline, line->load.keys, rate, p50,
           p99, p999);
    if (line->pid)
        printf(", server CPU %.4f us/op", server_us);
    printf(", loader CPU %.4f us/op, others %.2f cores, %llu errors\n", own_us,
           reading->others_cores, (unsigned long long)result->tally.errors);
}

static int measure(struct command_line *line)
{
    static struct histogram latency;
    struct load_result result = {.latency_ns = &latency};
    struct meter meter;
    if (meter_init(&meter, line->pid)) {
        fprintf(stderr, "quipu bench resp: no process %d\n", (int)line->pid);
        return 1;
    }
    line->load.meter = &meter;
    line->load.is_once = bench_is_fill(line->load.op);
    bench_pin(line->cpu);
    bench_raise_files(line->load.connections + 16u);
    if (load_run(&line->load, &result))
        return 1;
    report(line, &result);
    if (result.tally.errors)
        fprintf(stderr, "quipu bench resp: the server answered errors, the first: %s\n",
                result.tally.first_error);
    return result.tally.errors ? 1 : 0;
}

static void fill_command_line(struct command_line *line, const struct options *options)
{
    *line = (struct command_line){
        .op_name = options_text(options, "op"),
        .pid = (pid_t)options_number(options, "pid"),
        .cpu = (int)options_number(options, "cpu"),
        .is_json = options_number(options, "json") != 0,
        .load = {.address = options_text(options, "to"),
                 .op = (enum bench_op)options_number(options, "op"),
                 .connections = (uint32_t)options_number(options, "connections"),
                 .pipeline = (uint32_t)options_number(options, "pipeline"),
                 .keys = (uint32_t)options_number(options, "keys"),
                 .keys_a_mget = (uint32_t)options_number(options, "keys-per-mget"),
                 .rate = (uint64_t)options_number(options, "rate"),
                 .warm_ns = (uint64_t)options_number(options, "warm-up") * 1000000,
                 .measure_ns = (uint64_t)options_number(options, "time") * 1000000}};
}

static int run(const struct options *options)
{
    struct command_line line;
    fill_command_line(&line, options);
    return measure(&line);
}

int bench_resp_main(int argc, char **argv)
{
    return options_run(&command, argc, argv, run);
}
