// SPDX-License-Identifier: Apache-2.0
// quipu up: every part of several regions on this machine. It composes only: each part is this
// program run as a child with the options that one would type, over the sockets that separate
// machines would use.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/owner.h"
#include "cli/main.h"
#include "cli/options.h"
#include "cli/part.h"
#include "cli/ports.h"
#include "cli/welcome.h"
#include "db/db.h"
#include "os/log.h"
#include "os/signals.h"

#define UP_STOP_MS  15000 // of each kind of part; then they are killed
#define UP_WAIT_MS  5000  // how often to say what is not ready yet
#define UP_DRAIN_MS 500   // real-time parts: all clients are on this machine

// In the order in which they start, each when the one before serves; they stop in the opposite one,
// so that what a part still has to say finds somebody who listens.
enum kind { KIND_DB, KIND_SERVICE, KIND_REALTIME, KINDS };

struct region {
    char name[16];
    struct part part[KINDS];
};

struct up {
    const struct options *options;
    struct loop *loop;
    struct signals signals;
    struct loop_timer timer; // waiting: a reminder; stopping: the patience left
    struct region region[PORTS_REGIONS_MAX];
    unsigned regions_count, port_base;
    const char *directory;
    int lock_fd;
    enum kind starting, stopping;
    bool is_stopping, is_welcomed, has_failed;
};

static const struct option rows[] = {
    {.name = "regions",
     .type = OPTION_INTEGER,
     .initial = "3",
     .smallest = 1,
     .largest = PORTS_REGIONS_MAX,
     .help = "how many"},
    {.name = "data",
     .type = OPTION_PATH,
     .value = "DIR",
     .initial = "./quipu-data",
     .help = "a folder for each replica in it; kept from run to run"},
    {.name = "port-base",
     .type = OPTION_INTEGER,
     .initial = "7000",
     .smallest = 1024,
     .largest = 65535 - PORTS,
     .help = "region i (0, 1, ...) has the ports from port-base + 10 i on"},
    {.name = "durability",
     .type = OPTION_CHOICE,
     .choices = "relaxed|strict",
     .initial = "relaxed",
     .help = "of each database; strict: on disk before the reply"},
    {.name = "commit-interval",
     .type = OPTION_DURATION,
     .initial = OPTION_INITIAL(DB_COMMIT_INTERVAL_MS),
     .smallest = 1,
     .largest = DB_COMMIT_INTERVAL_MAX,
     .help = "relaxed: on disk within this time"},
    {.name = "threads",
     .type = OPTION_INTEGER,
     .initial = "1",
     .smallest = 1,
     .largest = DB_THREADS_MAX,
     .help = "worker threads of each database"},
    {.name = "hook",
     .type = OPTION_PATH,
     .value = "FILE",
     .help = "Lua run on each applied change, in place of the built-in one"},
    OPTION_ROW_CONFIG,
    {0},
};

static const struct command command = {
    .name = "up",
    .summary = "Every part of several regions on this machine: databases that replicate, services, "
               "real-time\nparts, the dashboard. Ctrl-C stops all of them in order.",
    .notes = "In each region: +0 RESP, +1 peers, +2 HTTP service, +3 UDP heartbeats, +4 real-time "
             "part and\ndashboard. A part that dies is started again.\n",
    .options = rows,
};

// ---- what each part is told

static void argue_db(struct up *up, unsigned i, struct part_arguments *arguments)
{
    const struct options *options = up->options;
    part_argue(arguments, "--replica=%s", up->region[i].name);
    part_argue(arguments, "--cluster=local");
    part_argue(arguments, "--data=%s/%s", up->directory, up->region[i].name);
    part_argue(arguments, "--listen=127.0.0.1:%u", port_of(up->port_base, i, PORT_RESP));
    part_argue(arguments, "--peer-listen=127.0.0.1:%u", port_of(up->port_base, i, PORT_PEERS));
    for (unsigned j = 0; j < up->regions_count; j++) {
        if (j != i)
            part_argue(arguments, "--peer=127.0.0.1:%u", port_of(up->port_base, j, PORT_PEERS));
    }
    part_argue(arguments, "--durability=%s", options_text(options, "durability"));
    part_argue(arguments, "--commit-interval=%s", options_text(options, "commit-interval"));
    part_argue(arguments, "--threads=%s", options_text(options, "threads"));
    if (options_has(options, "hook"))
        part_argue(arguments, "--hook=%s", options_text(options, "hook"));
    part_argue(arguments, "--allow-cut");
}

static void argue_service(struct up *up, unsigned i, struct part_arguments *arguments)
{
    part_argue(arguments, "--db=127.0.0.1:%u", port_of(up->port_base, i, PORT_RESP));
    part_argue(arguments, "--listen=127.0.0.1:%u", port_of(up->port_base, i, PORT_HTTP));
    part_argue(arguments, "--heartbeat-listen=127.0.0.1:%u",
               port_of(up->port_base, i, PORT_HEARTBEATS));
}

static void argue_realtime(struct up *up, unsigned i, struct part_arguments *arguments)
{
    part_argue(arguments, "--listen=127.0.0.1:%u", port_of(up->port_base, i, PORT_REALTIME));
    part_argue(arguments, "--service=http://127.0.0.1:%u", port_of(up->port_base, i, PORT_HTTP));
    part_argue(arguments, "--heartbeat-to=127.0.0.1:%u",
               port_of(up->port_base, i, PORT_HEARTBEATS));
    part_argue(arguments, "--here=%s", up->region[i].name);
    for (unsigned j = 0; j < up->regions_count; j++)
        part_argue(arguments, "--region=%s=http://127.0.0.1:%u,http://127.0.0.1:%u",
                   up->region[j].name, port_of(up->port_base, j, PORT_HTTP),
                   port_of(up->port_base, j, PORT_REALTIME));
    part_argue(arguments, "--drain=%d", UP_DRAIN_MS);
}

static const struct {
    const char *name;
    void (*argue)(struct up *up, unsigned i, struct part_arguments *arguments);
} kinds[KINDS] = {
    [KIND_DB] = {"db", argue_db},
    [KIND_SERVICE] = {"service", argue_service},
    [KIND_REALTIME] = {"realtime", argue_realtime},
};

// ---- all of them

static struct up *up_of(struct part *part)
{
    return part->ctx;
}

static bool is_kind_ready(const struct up *up, enum kind kind)
{
    for (unsigned i = 0; i < up->regions_count; i++) {
        if (!up->region[i].part[kind].is_ready)
            return false;
    }
    return true;
}

static bool is_kind_gone(const struct up *up, enum kind kind)
{
    for (unsigned i = 0; i < up->regions_count; i++) {
        if (up->region[i].part[kind].pid)
            return false;
    }
    return true;
}

static void each_of(struct up *up, enum kind kind, void (*visit)(struct part *part))
{
    for (unsigned i = 0; i < up->regions_count; i++)
        visit(&up->region[i].part[kind]);
}

static void stop_kind(struct up *up, enum kind kind)
{
    up->stopping = kind;
    each_of(up, kind, part_stop);
    loop_timer_set(up->loop, &up->timer, loop_now_ms(up->loop) + UP_STOP_MS);
}

static void stop_on(struct up *up) // goes on with the next kind when one is gone
{
    while (up->is_stopping && is_kind_gone(up, up->stopping)) {
        if (up->stopping == 0) {
            loop_stop(up->loop);
            return;
        }
        stop_kind(up, up->stopping - 1);
    }
}

static void stop(struct up *up)
{
    up->is_stopping = true;
    stop_kind(up, KINDS - 1);
    stop_on(up);
}

static void kill_all(struct up *up)
{
    up->has_failed = true;
    for (unsigned kind = 0; kind < KINDS; kind++)
        each_of(up, kind, part_kill);
}

static void on_ready(struct part *part);
static void on_failed(struct part *part);

static int start_part(struct up *up, unsigned i, enum kind kind)
{
    struct part *part = &up->region[i].part[kind];
    *part = (struct part){.kind = kinds[kind].name,
                          .region = up->region[i].name,
                          .loop = up->loop,
                          .ctx = up,
                          .on_ready = on_ready,
                          .on_failed = on_failed};
    part_argue(&part->arguments, "quipu");
    part_argue(&part->arguments, "%s", part->kind);
    kinds[kind].argue(up, i, &part->arguments);
    return part_start(part);
}

static int start_kind(struct up *up, enum kind kind)
{
    int fault = 0;
    up->starting = kind;
    for (unsigned i = 0; !fault && i < up->regions_count; i++)
        fault = start_part(up, i, kind);
    return fault;
}

static void go_on_starting(struct up *up)
{
    if (!is_kind_ready(up, up->starting))
        return;
    if (up->starting + 1 < KINDS) {
        int fault = start_kind(up, up->starting + 1);
        if (!fault)
            return;
        log_line("up", NULL, "cannot start: %s", strerror(-fault));
        up->has_failed = true;
        stop(up);
        return;
    }
    up->is_welcomed = true;
    loop_timer_clear(up->loop, &up->timer);
    welcome_print(up->regions_count, up->port_base, up->directory);
    log_line("up", NULL, "ready, %u regions", up->regions_count);
}

static void on_ready(struct part *part)
{
    struct up *up = up_of(part);
    if (up->is_stopping)
        return;
    if (up->is_welcomed)
        log_line("up", NULL, "%s's %s is back", part->region, part->kind);
    else
        go_on_starting(up);
}

static void on_failed(struct part *part)
{
    struct up *up = up_of(part);
    log_line("up", NULL, "%s's %s did not start (its own words are above); stopping the others",
             part->region, part->kind);
    up->has_failed = true;
    if (!up->is_stopping)
        stop(up);
}

static void on_signal(struct signals *signals, int number)
{
    struct up *up = owner_of(signals, struct up, signals);
    if (number == SIGCHLD) {
        for (unsigned kind = 0; kind < KINDS; kind++)
            each_of(up, kind, part_reap);
        stop_on(up);
    } else if (up->is_stopping) {
        log_line("up", NULL, "asked twice: killing what is left");
        kill_all(up);
    } else {
        log_line("up", NULL, "stopping: clients are told, databases commit");
        stop(up);
    }
}

static void on_timer(struct loop_timer *timer)
{
    struct up *up = owner_of(timer, struct up, timer);
    if (up->is_stopping) {
        log_line("up", NULL, "%s parts did not stop within %d s: killing what is left",
                 kinds[up->stopping].name, UP_STOP_MS / 1000);
        kill_all(up);
        return;
    }
    for (unsigned i = 0; i < up->regions_count; i++) {
        const struct part *part = &up->region[i].part[up->starting];
        if (!part->is_ready)
            log_line("up", NULL, "still waiting for %s's %s", part->region, part->kind);
    }
    loop_timer_set(up->loop, &up->timer, loop_now_ms(up->loop) + UP_WAIT_MS);
}

// ---- before the first part starts

static int refuse_directory(const struct up *up, const char *why)
{
    fprintf(stderr, "quipu up: cannot keep data in %s: %s (--data DIR chooses another folder)\n",
            up->directory, why);
    return 1;
}

static int take_directory(struct up *up)
{
    if (mkdir(up->directory, 0777) && errno != EEXIST)
        return refuse_directory(up, strerror(errno));
    char path[4096];
    int len = snprintf(path, sizeof path, "%s/lock", up->directory);
    if (len < 0 || (size_t)len >= sizeof path - 16)
        return refuse_directory(up, strerror(ENAMETOOLONG));
    up->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (up->lock_fd < 0)
        return refuse_directory(up, strerror(errno));
    if (flock(up->lock_fd, LOCK_EX | LOCK_NB))
        return refuse_directory(up, "another quipu up is running with it");
    return 0;
}

// The parts' own variables are for parts started by hand; here each is told all it needs.
static void clear_environment(void)
{
    for (char **variable = environ; variable && *variable;) {
        char name[256];
        size_t len = strcspn(*variable, "=");
        if (strncmp(*variable, "QUIPU_", 6) == 0 && len < sizeof name) {
            memcpy(name, *variable, len);
            name[len] = '\0';
            unsetenv(name); // moves the rest down
        } else {
            variable++;
        }
    }
}

static int serve(struct up *up)
{
    up->signals.on_signal = on_signal;
    up->timer.on_due = on_timer;
    int fault = signals_start(&up->signals, up->loop);
    if (!fault)
        fault = start_kind(up, KIND_DB);
    if (!fault) {
        loop_timer_set(up->loop, &up->timer, loop_now_ms(up->loop) + UP_WAIT_MS);
        fault = loop_run(up->loop);
    }
    if (fault) { // what runs already gets SIGTERM when this process ends
        fprintf(stderr, "quipu up: cannot start: %s\n", strerror(-fault));
        return 1;
    }
    return up->has_failed ? 1 : 0;
}

static int compose(struct up *up)
{
    unsigned last_port = port_of(up->port_base, up->regions_count - 1, PORTS - 1);
    if (last_port > 65535) {
        fprintf(stderr, "quipu up: --port-base %u: the last port would be %u\n", up->port_base,
                last_port);
        return 2;
    }
    if (ports_check(up->port_base, up->regions_count))
        return 1;
    int status = take_directory(up);
    if (status)
        return status;
    clear_environment();
    int fault = loop_new(&up->loop, NULL);
    if (!fault)
        return serve(up);
    fprintf(stderr, "quipu up: %s\n", strerror(-fault));
    return 1;
}

static int run(const struct options *options)
{
    struct up *up = calloc(1, sizeof *up);
    if (!up) {
        fprintf(stderr, "quipu up: out of memory\n");
        return 1;
    }
    up->options = options;
    up->directory = options_text(options, "data");
    up->regions_count = (unsigned)options_number(options, "regions");
    up->port_base = (unsigned)options_number(options, "port-base");
    for (unsigned i = 0; i < up->regions_count; i++)
        snprintf(up->region[i].name, sizeof up->region[i].name, "r%u", i + 1);
    int status = compose(up);
    if (up->loop)
        loop_free(up->loop);
    free(up);
    return status;
}

int up_main(int argc, char **argv)
{
    return options_run(&command, argc, argv, run);
}
