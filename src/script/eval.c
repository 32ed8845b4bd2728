// SPDX-License-Identifier: Apache-2.0
// EVAL, EVALSHA and SCRIPT: compiled scripts by their SHA-1. Those that only EVAL brought are
// forgotten when there are too many, the longest unused first; a client is told NOSCRIPT and sends
// the text again, which it must be able to do anyway. Those of SCRIPT LOAD stay until FLUSH.
#include <errno.h>
#include <stdio.h>
#include "script/private.h"

static const char no_script[] = "NOSCRIPT No matching script. Please use EVAL.";

// ---- the cache

static struct cached **bucket_of(struct engine *engine, const char *sha)
{
    unsigned number = 0;
    for (int i = 0; i < 8; i++)
        number = number * 31 + (uint8_t)sha[i];
    return &engine->bucket[number % CACHE_BUCKETS];
}

static struct cached *cache_find(struct engine *engine, const char *sha)
{
    struct cached *cached = *bucket_of(engine, sha);
    while (cached && strcmp(cached->sha, sha) != 0)
        cached = cached->next;
    return cached;
}

static void unlink_evaled(struct engine *engine, struct cached *cached)
{
    if (cached->newer)
        cached->newer->older = cached->older;
    else
        engine->newest = cached->older;
    if (cached->older)
        cached->older->newer = cached->newer;
    else
        engine->oldest = cached->newer;
    cached->newer = cached->older = NULL;
}

static void link_evaled(struct engine *engine, struct cached *cached)
{
    cached->older = engine->newest;
    if (cached->older)
        cached->older->newer = cached;
    else
        engine->oldest = cached;
    engine->newest = cached;
}

static void forget(struct engine *engine, struct cached *cached)
{
    struct cached **at = bucket_of(engine, cached->sha);
    while (*at != cached)
        at = &(*at)->next;
    *at = cached->next;
    engine->cached_count--;
    if (cached->is_loaded)
        engine->loaded_count--;
    else
        unlink_evaled(engine, cached);
    vm_forget(engine->eval, cached->function);
    heap_free(engine->options.vm.heap, cached, sizeof *cached);
}

void cache_clear(struct engine *engine)
{
    for (unsigned i = 0; i < CACHE_BUCKETS; i++) {
        while (engine->bucket[i])
            forget(engine, engine->bucket[i]);
    }
}

// ---- the first line: #!lua flags=no-writes,allow-oom

static bool refuse(struct call *call, const char *what, struct span detail)
{
    char text[200];
    snprintf(text, sizeof text, "ERR %s%.*s", what, (int)(detail.len < 120 ? detail.len : 120),
             detail.ptr ? (const char *)detail.ptr : "");
    reply_error_text(call->reply, text);
    return false;
}

static bool take_flags(struct call *call, struct span list, uint32_t *flags)
{
    for (;;) {
        uint32_t flag;
        const uint8_t *comma = list.len ? memchr(list.ptr, ',', list.len) : NULL;
        struct span name = span_of(list.ptr, comma ? (size_t)(comma - list.ptr) : list.len);
        if (!vm_flag_find(name, &flag))
            return refuse(call, "Unexpected flag in script shebang: ", name);
        *flags |= flag;
        if (!comma)
            return true;
        list = span_of(comma + 1, list.len - name.len - 1);
    }
}

static bool take_first_line(struct call *call, struct span text, uint32_t *flags)
{
    if (text.len < 2 || memcmp(text.ptr, "#!", 2) != 0)
        return true;
    const uint8_t *end = memchr(text.ptr, '\n', text.len);
    if (!end)
        return refuse(call, "Invalid script shebang", (struct span){0});
    *flags |= VM_DECLARED;
    bool is_first = true;
    for (const uint8_t *at = text.ptr; at < end;) {
        const uint8_t *start = at;
        while (at < end && *at != ' ' && *at != '\t' && *at != '\r')
            at++;
        struct span word = span_of(start, (size_t)(at - start));
        while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
            at++;
        if (is_first && !span_is_equal(word, span_text("#!lua")))
            return refuse(call, "Unexpected engine in script shebang: ", word);
        bool is_flags = word.len >= 6 && memcmp(word.ptr, "flags=", 6) == 0;
        if (!is_first && !is_flags)
            return refuse(call, "Unknown lua shebang option: ", word);
        if (!is_first && !take_flags(call, span_of(word.ptr + 6, word.len - 6), flags))
            return false;
        is_first = false;
    }
    return true;
}

// ---- compiling

// NULL: the error is written.
static struct cached *compile(struct engine *engine, struct call *call, struct span text,
                              const char *sha)
{
    uint32_t flags = 0;
    int function;
    char error[400];
    if (!take_first_line(call, text, &flags))
        return NULL;
    int outcome = vm_compile(engine->eval, text, &function);
    if (outcome) {
        snprintf(error, sizeof error, "ERR Error compiling script (new function): %s",
                 outcome < 0 ? "not enough memory" : vm_error(engine->eval));
        reply_error_text(call->reply, error);
        return NULL;
    }
    struct cached *cached = heap_alloc(engine->options.vm.heap, sizeof *cached);
    if (!cached) {
        vm_forget(engine->eval, function);
        reply_error(call->reply, REPLY_ERROR_OUT_OF_MEMORY);
        return NULL;
    }
    struct cached **bucket = bucket_of(engine, sha);
    *cached = (struct cached){.next = *bucket, .function = function, .flags = flags};
    memcpy(cached->sha, sha, sizeof cached->sha);
    *bucket = cached;
    engine->cached_count++;
    link_evaled(engine, cached);
    if (engine->cached_count - engine->loaded_count > ENGINE_EVALED_MAX)
        forget(engine, engine->oldest);
    return cached;
}

// As EVALSHA names it; no SHA-1 is longer or shorter.
static struct cached *find_named(struct engine *engine, struct span name)
{
    char sha[SHA1_HEX + 1] = {0};
    if (name.len != SHA1_HEX)
        return NULL;
    for (size_t i = 0; i < SHA1_HEX; i++)
        sha[i] = (char)(name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? name.ptr[i] + 32 : name.ptr[i]);
    return cache_find(engine, sha);
}

static struct cached *find_or_compile(struct engine *engine, struct call *call, struct span text)
{
    char sha[SHA1_HEX + 1];
    sha1_hex(text, sha);
    struct cached *cached = cache_find(engine, sha);
    return cached ? cached : compile(engine, call, text, sha);
}

// ---- the commands

int eval_perform(struct engine *engine, struct call *call)
{
    struct vm_run run = {0};
    bool is_by_name = call->command->name[4] == 'S'; // EVALSHA, EVALSHA_RO
    if (!engine_take_keys(call, &run, reply_error_format(REPLY_ERROR_NOT_INTEGER)))
        return 0;
    struct cached *cached = is_by_name ? find_named(engine, call->argv[1])
                                       : find_or_compile(engine, call, call->argv[1]);
    if (!cached) {
        if (is_by_name)
            reply_error_text(call->reply, no_script);
        return 0;
    }
    if (!engine_allows(call, &run, cached->flags))
        return 0;
    if (!cached->is_loaded) {
        unlink_evaled(engine, cached);
        link_evaled(engine, cached);
    }
    run.name = cached->sha;
    run.function = cached->function;
    vm_run(engine->eval, &run);
    return 0;
}

int script_load(struct engine *engine, struct call *call)
{
    struct cached *cached = find_or_compile(engine, call, call->argv[2]);
    if (!cached)
        return 0;
    if (!cached->is_loaded && engine->loaded_count == ENGINE_LOADED_MAX) {
        reply_error_text(call->reply, "ERR too many scripts are loaded: SCRIPT FLUSH forgets them");
        return 0;
    }
    if (!cached->is_loaded) {
        unlink_evaled(engine, cached);
        cached->is_loaded = true;
        engine->loaded_count++;
    }
    reply_bulk_text(call->reply, cached->sha);
    return 0;
}

int script_exists(struct engine *engine, struct call *call)
{
    reply_array(call->reply, call->argc - 2);
    for (uint32_t i = 2; i < call->argc; i++)
        reply_integer(call->reply, find_named(engine, call->argv[i]) != NULL);
    return 0;
}

// A fresh state: what the old one held is gone with it.
int script_flush(struct engine *engine, struct call *call)
{
    struct vm *fresh;
    bool is_right = call->argc == 2 || (call->argc == 3 && (span_is_word(call->argv[2], "SYNC") ||
                                                            span_is_word(call->argv[2], "ASYNC")));
    if (!is_right) {
        reply_error_text(call->reply, "ERR SCRIPT FLUSH only support SYNC|ASYNC option");
        return 0;
    }
    if (vm_new(&fresh, &engine->options.vm, false)) {
        reply_error(call->reply, REPLY_ERROR_OUT_OF_MEMORY);
        return 0;
    }
    cache_clear(engine);
    vm_free(engine->eval);
    engine->eval = fresh;
    reply_ok(call->reply);
    return 0;
}
