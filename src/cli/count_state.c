// SPDX-License-Identifier: Apache-2.0
// A few "name value" lines, written beside the file, synced and renamed over it.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cli/count_state.h"

static const char layout[] = "quipu-count 1\nrun %16s\nreplica %255[^\n]\nsettings %8" SCNx32
                             "\nlines %" SCNu64 "\ncheck %8" SCNx32 "\ndone %u\n";

int count_state_load(struct count_state *out_state, const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return errno == ENOENT ? COUNT_STATE_E_NONE : -errno;
    struct count_state state = {0};
    unsigned is_done = 0;
    int found = fscanf(file, layout, state.run, state.replica, &state.settings, &state.lines,
                       &state.check, &is_done);
    bool is_read = !ferror(file);
    fclose(file);
    if (!is_read)
        return -EIO;
    if (found != 6 || is_done > 1 || strspn(state.run, "0123456789abcdef") != COUNT_RUN_LEN)
        return COUNT_STATE_E_MALFORMED;
    state.is_done = is_done;
    if (strcmp(state.replica, "?") == 0)
        state.replica[0] = '\0';
    *out_state = state;
    return 0;
}

static int write_state(const struct count_state *state, const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return -errno;
    fprintf(file,
            "quipu-count 1\nrun %s\nreplica %s\nsettings %08" PRIx32 "\nlines %" PRIu64
            "\ncheck %08" PRIx32 "\ndone %d\n",
            state->run, state->replica[0] ? state->replica : "?", state->settings, state->lines,
            state->check, state->is_done);
    int fault = fflush(file) || fsync(fileno(file)) ? -errno : 0;
    if (fclose(file) && !fault)
        fault = -errno;
    return fault;
}

static int sync_directory_of(char *path)
{
    int fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int fault = fsync(fd) ? -errno : 0;
    close(fd);
    return fault;
}

int count_state_save(const struct count_state *state, const char *path)
{
    char beside[PATH_MAX];
    int len = snprintf(beside, sizeof beside, "%s.new", path);
    if (len < 0 || (size_t)len >= sizeof beside)
        return -ENAMETOOLONG;
    int fault = write_state(state, beside);
    if (!fault && rename(beside, path))
        fault = -errno;
    if (fault) {
        unlink(beside);
        return fault;
    }
    return sync_directory_of(beside);
}
