// SPDX-License-Identifier: Apache-2.0
// `quipu bench resp`: loads one RESP server and says what an operation took and what it cost the
// server. Read the CPU first: on a shared machine it holds within a few per cent when throughput
// does not.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench_load.h"

#define KEYS_MAX        100000000u
#define CONNECTIONS_MAX 20000u
#define PIPELINE_MAX    65536u

static const char usage[] =
    "usage: quipu bench resp [--to HOST:PORT] [--op incr|get|mget|set|ping|fill]\n"
    "         [--connections 50] [--pipeline 1] [--keys 1] [--keys-per-mget 32]\n"
    "         [--rate OPS/S] [--seconds 1] [--warm 0.2] [--pid PID] [--cpu N] [--json]\n"
    "  Keys are counter:00000000 and on. fill adds 123456 to each of them once and ends.\n"
    "  --rate sends at fixed times and times each reply from when its request was due.\n"
    "  --pid tells the CPU that this process spent an operation; --cpu pins the loader.\n";

struct command_line {
    struct load_options load;
    const char *op_name;
    long pid;
    int cpu;
    bool is_json;
};

static bool parse_number(const char *text, double largest, double *out)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0) || value > largest)
        return false;
    *out = value;
    return true;
}

static bool parse_count(const char *text, uint32_t largest, uint32_t *out)
{
    double value;
    if (!parse_number(text, largest, &value) || value < 1)
        return false;
    *out = (uint32_t)value;
    return true;
}

static const struct option options_table[] = {
    {"to", required_argument, NULL, 't'},
    {"op", required_argument, NULL, 'o'},
    {"connections", required_argument, NULL, 'c'},
    {"pipeline", required_argument, NULL, 'P'},
    {"keys", required_argument, NULL, 'k'},
    {"keys-per-mget", required_argument, NULL, 'm'},
    {"rate", required_argument, NULL, 'r'},
    {"seconds", required_argument, NULL, 's'},
    {"warm", required_argument, NULL, 'w'},
    {"pid", required_argument, NULL, 'p'},
    {"cpu", required_argument, NULL, 'a'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static bool set_option(struct command_line *line, int option, const char *value)
{
    struct load_options *load = &line->load;
    double number = 0;
    switch (option) {
    case 't':
        load->address = value;
        return true;
    case 'o':
        line->op_name = value;
        return bench_op_parse(value, &load->op);
    case 'c':
        return parse_count(value, CONNECTIONS_MAX, &load->connections);
    case 'P':
        return parse_count(value, PIPELINE_MAX, &load->pipeline);
    case 'k':
        return parse_count(value, KEYS_MAX, &load->keys);
    case 'm':
        return parse_count(value, 1024, &load->keys_a_mget);
    case 'r':
        if (!parse_number(value, 1e9, &number))
            return false;
        load->rate = (uint64_t)number;
        return true;
    case 's':
    case 'w':
        if (!parse_number(value, 86400, &number))
            return false;
        *(option == 's' ? &load->measure_ns : &load->warm_ns) = (uint64_t)(number * 1e9);
        return true;
    case 'p':
    case 'a':
        if (!parse_number(value, 1u << 30, &number))
            return false;
        if (option == 'p')
            line->pid = (long)number;
        else
            line->cpu = (int)number;
        return true;
    case 'j':
        line->is_json = true;
        return true;
    default:
        return false;
    }
}

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

static int wrong_usage(const char *why)
{
    fprintf(stderr, "quipu bench resp: %s\n%s", why, usage);
    return 2;
}

static int measure(struct command_line *line)
{
    static struct histogram latency;
    struct load_result result = {.latency_ns = &latency};
    struct meter meter;
    if (meter_init(&meter, (pid_t)line->pid)) {
        fprintf(stderr, "quipu bench resp: no process %ld\n", line->pid);
        return 1;
    }
    line->load.meter = &meter;
    line->load.is_once = line->load.op == BENCH_FILL;
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

int bench_resp_main(int argc, char **argv)
{
    struct command_line line = {.op_name = "incr",
                                .cpu = -1,
                                .load = {.address = "127.0.0.1:7000",
                                         .connections = 50,
                                         .pipeline = 1,
                                         .keys = 1,
                                         .keys_a_mget = 32,
                                         .warm_ns = 200000000,
                                         .measure_ns = 1000000000}};
    for (int option; (option = getopt_long(argc, argv, "", options_table, NULL)) != -1;) {
        if (option == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (!set_option(&line, option, optarg))
            return wrong_usage("a wrong option or value");
    }
    if (optind != argc)
        return wrong_usage("an argument too many");
    return measure(&line);
}
