// SPDX-License-Identifier: Apache-2.0
// Which command goes where, and what EVAL and FCALL have in common.
#include <errno.h>
#include "base/decimal.h"
#include "script/private.h"

static const struct entry {
    const char *command, *word; // word NULL: whatever the second is
    int (*perform)(struct engine *engine, struct call *call);
} entries[] = {
    {"EVAL", NULL, eval_perform},
    {"EVALSHA", NULL, eval_perform},
    {"EVAL_RO", NULL, eval_perform},
    {"EVALSHA_RO", NULL, eval_perform},
    {"FCALL", NULL, fcall_perform},
    {"FCALL_RO", NULL, fcall_perform},
    {"SCRIPT", "LOAD", script_load},
    {"SCRIPT", "EXISTS", script_exists},
    {"SCRIPT", "FLUSH", script_flush},
    {"FUNCTION", "LOAD", function_load},
    {"FUNCTION", "DELETE", function_delete},
    {"FUNCTION", "FLUSH", function_flush},
    {"FUNCTION", "LIST", function_list},
    {"FUNCTION", "STATS", function_stats},
    {"FUNCTION", "DUMP", function_dump},
    {"FUNCTION", "RESTORE", function_restore},
};

static int perform(struct scripts *scripts, struct call *call)
{
    struct engine *engine = (struct engine *)scripts;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        const struct entry *entry = &entries[i];
        if (strcmp(entry->command, call->command->name) == 0 &&
            (!entry->word || span_is_word(call->argv[1], entry->word)))
            return entry->perform(engine, call);
    }
    reply_error_text(call->reply, "ERR not a command of scripts");
    return 0;
}

bool engine_take_keys(struct call *call, struct vm_run *run, const char *not_a_number)
{
    int64_t count;
    if (!decimal_parse(call->argv[2], &count)) {
        reply_error_text(call->reply, not_a_number);
        return false;
    }
    if (count > (int64_t)call->argc - 3) {
        reply_error_text(call->reply, "ERR Number of keys can't be greater than number of args");
        return false;
    }
    if (count < 0) {
        reply_error_text(call->reply, "ERR Number of keys can't be negative");
        return false;
    }
    run->call = call;
    run->keys = call->argv + 3;
    run->keys_count = (uint32_t)count;
    run->args = run->keys + count;
    run->args_count = call->argc - 3 - run->keys_count;
    return true;
}

// A script that tells its flags is one that writes unless it says "no-writes".
bool engine_allows(struct call *call, struct vm_run *run, uint32_t flags)
{
    size_t len = strlen(call->command->name);
    bool is_ro_command = len > 3 && strcmp(call->command->name + len - 3, "_RO") == 0;
    bool is_declared = (flags & VM_DECLARED) != 0, may_write = !(flags & VM_NO_WRITES);
    if (is_ro_command && is_declared && may_write) {
        reply_error_text(call->reply,
                         "ERR Can not execute a script with write flag using *_ro command.");
        return false;
    }
    run->is_read_only = is_ro_command || (is_declared && !may_write);
    return true;
}

int engine_new(struct engine **out_engine, const struct engine_options *options)
{
    struct engine *engine = heap_alloc(options->vm.heap, sizeof *engine);
    if (!engine)
        return -ENOMEM;
    *engine = (struct engine){.scripts = {perform}, .options = *options};
    int fault = vm_new(&engine->eval, &options->vm, false);
    if (!fault)
        fault = vm_new(&engine->functions, &options->vm, true);
    if (fault)
        engine_free(engine);
    else
        *out_engine = engine;
    return fault;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    cache_clear(engine);
    libraries_clear(engine);
    vm_free(engine->eval);
    vm_free(engine->functions);
    heap_free(engine->options.vm.heap, engine, sizeof *engine);
}

struct scripts *engine_scripts(struct engine *engine)
{
    return &engine->scripts;
}

struct engine_counts engine_counts(const struct engine *engine)
{
    struct engine_counts counts = {.scripts = engine->cached_count,
                                   .eval_bytes = vm_memory(engine->eval),
                                   .function_bytes = vm_memory(engine->functions)};
    for (const struct library *at = engine->libraries; at; at = at->next) {
        counts.libraries++;
        counts.functions += at->count;
    }
    return counts;
}
