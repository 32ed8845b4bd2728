// SPDX-License-Identifier: Apache-2.0
// Recovery: every frame of the newest snapshot, then every frame of the log since that snapshot
// began. A snapshot has its name only once it is whole and durable, and a segment is closed and
// synced before the next one gets its name; so a bad frame anywhere but at the end of the newest
// segment is damage, and is refused: no frame is skipped, ever.
#include <errno.h>
#include <stdio.h>
#include "journal/recovery.h"

static const char bad_frame[] = "the frame does not match its checksum";

void recovery_init(struct recovery *recovery, struct disk *disk, struct heap *heap)
{
    *recovery = (struct recovery){.disk = disk, .heap = heap};
    for (unsigned kind = 0; kind < FILE_KINDS_COUNT; kind++)
        buf_init(&recovery->names[kind], heap);
}

void recovery_deinit(struct recovery *recovery)
{
    for (unsigned kind = 0; kind < FILE_KINDS_COUNT; kind++)
        buf_deinit(&recovery->names[kind]);
}

size_t recovery_count(const struct recovery *recovery, enum file_kind kind)
{
    return recovery->names[kind].len / 4;
}

uint32_t recovery_number(const struct recovery *recovery, enum file_kind kind, size_t at)
{
    return bytes_read_u32(recovery->names[kind].ptr + 4 * at);
}

static int refuse(struct recovery *recovery, const char *name, uint64_t offset, const char *why)
{
    snprintf(recovery->report->error, sizeof recovery->report->error, "%s at byte %llu: %s", name,
             (unsigned long long)offset, why);
    return JOURNAL_E_DAMAGED;
}

static int fault_in(struct recovery *recovery, const char *name, int fault)
{
    const char *why = strerrordesc_np(-fault);
    snprintf(recovery->report->error, sizeof recovery->report->error, "reading %s: %s", name,
             why ? why : "unknown error");
    return fault;
}

static void list_visit(void *ctx, const char *name)
{
    struct recovery *recovery = ctx;
    enum file_kind kind;
    uint32_t number;
    recovery->is_log_unfinished |= strcmp(name, JOURNAL_LOG_NEW) == 0;
    recovery->is_snapshot_unfinished |= strcmp(name, JOURNAL_SNAPSHOT_NEW) == 0;
    if (!format_parse_name(name, &kind, &number))
        return;
    bytes_put_u32(&recovery->names[kind], number);
    if (kind == FILE_LOG && number > recovery->newest)
        recovery->newest = number;
    if (kind == FILE_SNAPSHOT && number > recovery->snapshot)
        recovery->snapshot = number;
}

static int list(struct recovery *recovery)
{
    int fault = recovery->disk->ops->list(recovery->disk, list_visit, recovery);
    for (unsigned kind = 0; kind < FILE_KINDS_COUNT && !fault; kind++)
        fault = buf_has_failed(&recovery->names[kind]) ? -ENOMEM : 0;
    return fault ? fault_in(recovery, "the directory", fault) : 0;
}

// Opens a file and reads its head.
static int begin(struct recovery *recovery, struct scan *scan, enum file_kind kind, uint32_t number,
                 struct file_head *out_head)
{
    char name[FORMAT_NAME_BYTES];
    format_name(name, kind, number);
    int outcome = scan_open(scan, recovery->disk, recovery->heap, name);
    if (outcome == -ENOENT)
        return refuse(recovery, name, 0, "the file is missing");
    if (outcome)
        return fault_in(recovery, name, outcome);
    outcome = scan_head(scan, kind, out_head);
    if (outcome == SCAN_E_BAD || (!outcome && out_head->number != number)) {
        outcome = refuse(recovery, name, 0, "the head of the file is damaged");
    } else if (outcome == SCAN_E_NEWER) {
        refuse(recovery, name, 0, "written by a newer version of quipu");
        outcome = JOURNAL_E_VERSION;
    } else if (outcome) {
        fault_in(recovery, name, outcome);
    }
    if (outcome)
        scan_close(scan);
    return outcome;
}

static int take(struct recovery *recovery, const struct frame_head *head, struct span payload)
{
    if (head->kind != FRAME_COMMIT)
        return 0;
    recovery->report->frames_count++;
    recovery->report->frames_bytes += head->length;
    const struct journal_options *options = recovery->options;
    return options->on_frame ? options->on_frame(options->ctx, payload) : 0;
}

enum ending { ENDING_CLOSED, ENDING_BAD }; // a closing frame; no frame at scan->offset

// 0 with how the frames end, what on_frame said, or -errno.
static int replay(struct recovery *recovery, struct scan *scan, const char *name,
                  enum ending *out_ending)
{
    struct frame_head head;
    struct span payload;
    for (;;) {
        int outcome = scan_next(scan, &head, &payload);
        if (outcome < 0)
            return fault_in(recovery, name, outcome);
        if (outcome || head.kind == FRAME_CLOSED) {
            *out_ending = outcome ? ENDING_BAD : ENDING_CLOSED;
            return 0;
        }
        outcome = take(recovery, &head, payload);
        if (outcome) {
            refuse(recovery, name, scan->offset - format_frame_bytes(head.length),
                   "an intact frame was not accepted");
            return outcome;
        }
    }
}

static int replay_snapshot(struct recovery *recovery)
{
    struct scan scan;
    struct file_head head;
    char name[FORMAT_NAME_BYTES];
    recovery->oldest = 1;
    recovery->oldest_at = FORMAT_HEAD_BYTES;
    if (recovery->snapshot == 0)
        return 0;
    format_name(name, FILE_SNAPSHOT, recovery->snapshot);
    int outcome = begin(recovery, &scan, FILE_SNAPSHOT, recovery->snapshot, &head);
    if (outcome)
        return outcome;
    recovery->report->snapshots_count++;
    recovery->oldest = head.log_number;
    recovery->oldest_at = head.log_offset;
    recovery->generation = head.generation;
    enum ending ending;
    outcome = replay(recovery, &scan, name, &ending);
    if (!outcome && ending == ENDING_BAD)
        outcome = refuse(recovery, name, scan.offset, bad_frame);
    else if (!outcome && scan.offset != scan.size)
        outcome = refuse(recovery, name, scan.offset, "bytes after the end of the snapshot");
    scan_close(&scan);
    return outcome;
}

// The end of the newest segment: torn or damaged.
static int judge_tail(struct recovery *recovery, struct scan *scan, const char *name)
{
    bool is_damage;
    uint64_t cut_bytes;
    int fault = scan_tail(scan, &is_damage, &cut_bytes);
    if (fault)
        return fault_in(recovery, name, fault);
    if (is_damage)
        return refuse(recovery, name, scan->offset,
                      "the frame does not match its checksum, and a later one tells that it was "
                      "on the disk");
    recovery->report->cut_bytes = cut_bytes;
    return 0;
}

static int replay_frames(struct recovery *recovery, struct scan *scan, const char *name)
{
    enum ending ending;
    if (scan->offset > scan->size)
        return refuse(recovery, name, scan->size, "the segment is cut short");
    uint64_t from = scan->offset;
    int outcome = replay(recovery, scan, name, &ending);
    if (outcome)
        return outcome;
    recovery->is_closed = recovery->report->is_closed = ending == ENDING_CLOSED;
    recovery->log_bytes += scan->offset - from;
    if (ending == ENDING_CLOSED)
        return 0;
    return scan->number < recovery->newest ? refuse(recovery, name, scan->offset, bad_frame)
                                           : judge_tail(recovery, scan, name);
}

static int replay_segment(struct recovery *recovery, uint32_t number)
{
    struct scan scan;
    struct file_head head;
    char name[FORMAT_NAME_BYTES];
    format_name(name, FILE_LOG, number);
    int outcome = begin(recovery, &scan, FILE_LOG, number, &head);
    if (outcome)
        return outcome;
    recovery->report->segments_count++;
    if (number == recovery->oldest)
        scan.offset = recovery->oldest_at;
    outcome = replay_frames(recovery, &scan, name);
    recovery->end = scan.offset;
    recovery->synced = scan.synced;
    recovery->size = scan.size;
    if (scan.generation > recovery->generation)
        recovery->generation = scan.generation;
    scan_close(&scan);
    return outcome;
}

int recovery_run(struct recovery *recovery)
{
    int outcome = list(recovery);
    if (outcome)
        return outcome;
    if (recovery->newest == 0 && recovery->snapshot == 0)
        return 0;
    outcome = replay_snapshot(recovery);
    // No snapshot, or one that began in a segment beyond the newest: begin() says what is missing.
    uint32_t last = recovery->newest > recovery->oldest ? recovery->newest : recovery->oldest;
    for (uint32_t number = recovery->oldest; !outcome && number <= last; number++)
        outcome = replay_segment(recovery, number);
    return outcome;
}
