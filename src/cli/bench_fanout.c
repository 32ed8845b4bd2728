// SPDX-License-Identifier: Apache-2.0
// `quipu bench fanout`: N subscribers track one key; each round adds one to it and waits until all
// have the new value. Printed beside it: a plain send() of the same frame to as many sockets.
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "cli/bench_fanout.h"
#include "cli/meter.h"
#include "cli/options.h"

#define ROUND_MS    10000u
#define ROUNDS_WARM 3u

static const struct option rows[] = {
    {.name = "to",
     .type = OPTION_ENDPOINT,
     .initial = "127.0.0.1:7004",
     .help = "the real-time part"},
    {.name = "db",
     .type = OPTION_ENDPOINT,
     .initial = "127.0.0.1:7000",
     .help = "a database: where the key is changed"},
    {.name = "key",
     .type = OPTION_TEXT,
     .initial = "fanout",
     .help = "the counter that is changed"},
    {.name = "subscribers",
     .type = OPTION_INTEGER,
     .initial = "1000",
     .smallest = 1,
     .largest = 60000,
     .help = "WebSocket connections that track it"},
    {.name = "rounds",
     .type = OPTION_INTEGER,
     .initial = "20",
     .smallest = 1,
     .largest = 1000000,
     .help = "changes, each waited for until everybody has it"},
    {.name = "pid",
     .type = OPTION_INTEGER,
     .initial = "0",
     .largest = INT32_MAX,
     .help = "the real-time part's process: tells its CPU a delivery"},
    {.name = "cpu",
     .type = OPTION_INTEGER,
     .initial = "-1",
     .smallest = -1,
     .largest = 1023,
     .help = "pins the subscribers to this core; -1: none"},
    {.name = "floor-cpu",
     .type = OPTION_INTEGER,
     .initial = "-1",
     .smallest = -1,
     .largest = 1023,
     .help = "pins the plain sender to this core"},
    {.name = "json", .type = OPTION_FLAG, .help = "one line of JSON"},
    {0},
};

static const struct command command = {
    .name = "bench fanout",
    .summary = "One change to many WebSocket subscribers, and a plain send() of the same frame to "
               "as many sockets.",
    .options = rows,
};

struct fanout {
    const char *to, *db, *key;
    uint32_t subscribers, rounds;
    pid_t pid;
    int cpu, floor_cpu;
    bool is_json;
};

struct outcome {
    double server_us; // CPU of the sending process, a delivery
    double all_p50_us, all_p99_us;
    double each_p50_us, each_p99_us;
    double others_cores;
    uint64_t frames, surplus;
};

static struct histogram each_ns, all_ns;

// Adds one by RESP and returns the new value; -1 after a line on stderr.
static int64_t add_one(int db, const char *key)
{
    char request[256];
    int len =
        snprintf(request, sizeof request, "*2\r\n$4\r\nINCR\r\n$%zu\r\n%s\r\n", strlen(key), key);
    char reply[64];
    size_t got = 0;
    bool is_alive = bench_send(db, span_of(request, (size_t)len));
    while (is_alive && (!got || reply[got - 1] != '\n') && got < sizeof reply - 1) {
        struct pollfd readable = {.fd = db, .events = POLLIN};
        ssize_t more = poll(&readable, 1, (int)ROUND_MS) > 0
                           ? recv(db, reply + got, sizeof reply - 1 - got, 0)
                           : -1;
        is_alive = more > 0;
        got += is_alive ? (size_t)more : 0;
    }
    reply[got] = 0;
    if (!is_alive || reply[0] != ':') {
        fprintf(stderr, "quipu bench fanout: INCR was answered: %.50s\n", reply);
        return -1;
    }
    return strtoll(reply + 1, NULL, 10);
}

static void fill_outcome(struct outcome *outcome, const struct crowd *crowd, uint32_t rounds,
                         const struct meter_reading *reading)
{
    *outcome = (struct outcome){
        .server_us = reading->process_seconds * 1e6 / ((double)rounds * crowd->count),
        .all_p50_us = (double)histogram_quantile(&all_ns, 0.5) / 1000,
        .all_p99_us = (double)histogram_quantile(&all_ns, 0.99) / 1000,
        .each_p50_us = (double)histogram_quantile(&each_ns, 0.5) / 1000,
        .each_p99_us = (double)histogram_quantile(&each_ns, 0.99) / 1000,
        .others_cores = reading->others_cores,
        .frames = crowd->frames,
        .surplus = crowd->surplus,
    };
}

static void begin(struct crowd *crowd, struct meter *meter)
{
    histogram_clear(&each_ns);
    histogram_clear(&all_ns);
    crowd->frames = crowd->surplus = 0;
    meter_begin(meter);
}

static int run_quipu(const struct fanout *fanout, struct crowd *crowd, struct outcome *outcome)
{
    struct meter meter;
    if (meter_init(&meter, fanout->pid)) {
        fprintf(stderr, "quipu bench fanout: no process %d\n", (int)fanout->pid);
        return 1;
    }
    int db = bench_connect(fanout->db);
    if (db < 0 || add_one(db, fanout->key) < 0 ||
        crowd_open(crowd, fanout->to, fanout->subscribers, fanout->key))
        return 1;
    for (uint32_t round = 0; round < ROUNDS_WARM + fanout->rounds; round++) {
        if (round == ROUNDS_WARM)
            begin(crowd, &meter);
        uint64_t begun_ns = bench_now_ns();
        int64_t value = add_one(db, fanout->key);
        if (value < 0)
            return 1;
        crowd_expect(crowd, value);
        crowd->begun_ns = begun_ns;
        if (crowd_wait(crowd, ROUND_MS))
            return 1;
        histogram_add(&all_ns, bench_now_ns() - begun_ns, 1);
    }
    struct meter_reading reading = meter_read(&meter);
    fill_outcome(outcome, crowd, fanout->rounds, &reading);
    close(db);
    return 0;
}

static int run_floor(const struct fanout *fanout, struct crowd *crowd, struct outcome *outcome)
{
    struct floor floor;
    if (floor_start(&floor, fanout->subscribers, fanout->floor_cpu))
        return 1;
    struct meter meter;
    int fault = meter_init(&meter, floor.process) ||
                crowd_open_plain(crowd, floor.address, fanout->subscribers);
    for (uint32_t round = 0; !fault && round < ROUNDS_WARM + fanout->rounds; round++) {
        if (round == ROUNDS_WARM)
            begin(crowd, &meter);
        char payload[64];
        snprintf(payload, sizeof payload, "{\"c\":[[\"floor\",%u,%u]]}", 100000 + round, round);
        crowd_expect(crowd, 100000 + round);
        uint64_t begun_ns = crowd->begun_ns;
        fault = floor_send(&floor, payload) || crowd_wait(crowd, ROUND_MS);
        histogram_add(&all_ns, bench_now_ns() - begun_ns, 1);
    }
    struct meter_reading reading = meter_read(&meter);
    fill_outcome(outcome, crowd, fanout->rounds, &reading);
    floor_stop(&floor);
    return fault;
}

static void print_json(const char *name, const struct outcome *outcome, const char *end)
{
    printf("\"%s\":{\"server_us\":%.4f,\"all_p50_us\":%.0f,\"all_p99_us\":%.0f,"
           "\"each_p50_us\":%.0f,\"each_p99_us\":%.0f,\"frames\":%llu,\"surplus\":%llu,"
           "\"others_cores\":%.3f}%s",
           name, outcome->server_us, outcome->all_p50_us, outcome->all_p99_us, outcome->each_p50_us,
           outcome->each_p99_us, (unsigned long long)outcome->frames,
           (unsigned long long)outcome->surplus, outcome->others_cores, end);
}

static void print_text(const char *name, const struct outcome *outcome)
{
    printf("%-8s CPU %.3f us a delivery; all have it after p50 %.2f ms, p99 %.2f ms; "
           "%llu frames, %llu of them surplus; others %.2f cores\n",
           name, outcome->server_us, outcome->all_p50_us / 1000, outcome->all_p99_us / 1000,
           (unsigned long long)outcome->frames, (unsigned long long)outcome->surplus,
           outcome->others_cores);
}

static int measure(const struct fanout *fanout)
{
    struct outcome quipu, floor;
    struct crowd crowd = {.latency = &each_ns};
    struct crowd plain = {.latency = &each_ns};
    bench_pin(fanout->cpu);
    int fault = run_quipu(fanout, &crowd, &quipu);
    crowd_close(&crowd);
    if (!fault) {
        fault = run_floor(fanout, &plain, &floor);
        crowd_close(&plain);
    }
    if (fault)
        return 1;
    if (fanout->is_json) {
        printf("{\"subscribers\":%u,\"rounds\":%u,", fanout->subscribers, fanout->rounds);
        print_json("quipu", &quipu, ",");
        print_json("send", &floor, "}\n");
    } else {
        printf("%u subscribers, %u changes, every one received by all\n", fanout->subscribers,
               fanout->rounds);
        print_text("quipu", &quipu);
        print_text("send()", &floor);
    }
    return 0;
}

static int run(const struct options *options)
{
    struct fanout fanout = {
        .to = options_text(options, "to"),
        .db = options_text(options, "db"),
        .key = options_text(options, "key"),
        .subscribers = (uint32_t)options_number(options, "subscribers"),
        .rounds = (uint32_t)options_number(options, "rounds"),
        .pid = (pid_t)options_number(options, "pid"),
        .cpu = (int)options_number(options, "cpu"),
        .floor_cpu = (int)options_number(options, "floor-cpu"),
        .is_json = options_number(options, "json") != 0,
    };
    return measure(&fanout);
}

int bench_fanout_main(int argc, char **argv)
{
    return options_run(&command, argc, argv, run);
}
