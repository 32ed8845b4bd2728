// SPDX-License-Identifier: Apache-2.0
// FUNCTION and FCALL: the libraries of this replica, in order of name. A change of them is durable
// before it is answered, or it does not happen.
#include <errno.h>
#include <stdio.h>
#include "base/glob.h"
#include "script/private.h"

// ---- the list

static int compare(const struct library *library, struct span name)
{
    size_t len = library->name_len < name.len ? library->name_len : name.len;
    int order = memcmp(library->name, name.ptr, len);
    return order ? order : (library->name_len > name.len) - (library->name_len < name.len);
}

// Where a library of this name is, or would be.
static struct library **place_of(struct library **first, struct span name)
{
    while (*first && compare(*first, name) < 0)
        first = &(*first)->next;
    return first;
}

static struct span name_of(const struct library *library)
{
    return span_of(library->name, library->name_len);
}

static struct library *find_library(struct library **first, struct span name)
{
    struct library *library = *place_of(first, name);
    return library && compare(library, name) == 0 ? library : NULL;
}

static void put_library(struct library **first, struct library *library)
{
    struct library **place = place_of(first, name_of(library));
    library->next = *place;
    *place = library;
}

static void take_library(struct library **first, struct library *library)
{
    *place_of(first, name_of(library)) = library->next;
}

static void free_all(struct library *first)
{
    while (first) {
        struct library *next = first->next;
        library_free(first);
        first = next;
    }
}

void libraries_clear(struct engine *engine)
{
    free_all(engine->libraries);
    engine->libraries = NULL;
    engine->libraries_bytes = 0;
}

// In any case, as Redis does.
static struct function *find_function(struct library *first, struct span name)
{
    for (; first; first = first->next) {
        for (struct function *at = first->functions; at; at = at->next) {
            if (span_is_word(name, at->name))
                return at;
        }
    }
    return NULL;
}

// ---- changes

static void refuse(struct call *call, const char *what, const char *name, const char *end)
{
    char text[300];
    snprintf(text, sizeof text, "ERR %s%s%s", what, name, end);
    reply_error_text(call->reply, text);
}

static void refuse_word(struct call *call, const char *what, struct span word)
{
    char text[128];
    snprintf(text, sizeof text, "%.*s", (int)(word.len < 90 ? word.len : 90),
             word.len ? (const char *)word.ptr : "");
    refuse(call, what, text, "");
}

// Makes the list durable. False: the error is written, and the change is to be undone.
static bool store(struct engine *engine, struct call *call)
{
    struct buf dump;
    if (!engine->options.on_store)
        return true;
    buf_init(&dump, engine->options.vm.heap);
    functions_dump(engine->libraries, &dump);
    int fault = buf_has_failed(&dump)
                    ? -ENOMEM
                    : engine->options.on_store(engine->options.vm.ctx, buf_span(&dump));
    buf_deinit(&dump);
    if (fault)
        refuse(call,
               "the functions cannot be kept in the data directory: ", strerrordesc_np(-fault), "");
    return fault == 0;
}

// Whether one of its functions has a name that another library has. NULL: none does.
static const char *colliding(const struct library *library, struct library *first)
{
    for (const struct function *at = library->functions; at; at = at->next) {
        if (find_function(first, span_text(at->name)))
            return at->name;
    }
    return NULL;
}

static bool is_too_much(struct call *call, size_t bytes)
{
    if (bytes <= FUNCTIONS_BYTES_MAX)
        return false;
    reply_error_text(call->reply, "ERR too much code of functions: see quipu db --limits");
    return true;
}

// Puts it in the place of `old` (NULL: there is none). False: the error is written, all is as
// before.
static bool replace(struct engine *engine, struct call *call, struct library *library,
                    struct library *old)
{
    if (old)
        take_library(&engine->libraries, old);
    const char *name = colliding(library, engine->libraries);
    bool is_done = false;
    if (name) {
        refuse(call, "Function ", name, " already exists");
    } else {
        put_library(&engine->libraries, library);
        is_done = store(engine, call);
        if (!is_done)
            take_library(&engine->libraries, library);
    }
    if (!is_done && old)
        put_library(&engine->libraries, old);
    return is_done;
}

int function_load(struct engine *engine, struct call *call)
{
    struct library *library, *old;
    bool is_replacing = false;
    for (uint32_t i = 2; i + 1 < call->argc; i++) {
        if (!span_is_word(call->argv[i], "REPLACE")) {
            refuse_word(call, "Unknown option given: ", call->argv[i]);
            return 0;
        }
        is_replacing = true;
    }
    struct span code = call->argv[call->argc - 1];
    if (is_too_much(call, engine->libraries_bytes + code.len))
        return 0;
    int outcome = library_new(&library, engine->functions, code);
    if (outcome < 0) {
        reply_error(call->reply, REPLY_ERROR_OUT_OF_MEMORY);
        return 0;
    }
    if (outcome) {
        refuse(call, vm_error(engine->functions), "", "");
        return 0;
    }
    old = find_library(&engine->libraries, name_of(library));
    if (old && !is_replacing) {
        refuse(call, "Library '", library->name, "' already exists");
        library_free(library);
        return 0;
    }
    if (!replace(engine, call, library, old)) {
        library_free(library);
        return 0;
    }
    engine->libraries_bytes += code.len - (old ? old->code.len : 0);
    if (old)
        library_free(old);
    reply_bulk(call->reply, name_of(library));
    return 0;
}

int function_delete(struct engine *engine, struct call *call)
{
    struct library *library = find_library(&engine->libraries, call->argv[2]);
    if (!library) {
        reply_error_text(call->reply, "ERR Library not found");
        return 0;
    }
    take_library(&engine->libraries, library);
    if (!store(engine, call)) {
        put_library(&engine->libraries, library);
        return 0;
    }
    engine->libraries_bytes -= library->code.len;
    library_free(library);
    reply_ok(call->reply);
    return 0;
}

// With a fresh state, as the old one's globals and garbage are nobody's now.
int function_flush(struct engine *engine, struct call *call)
{
    struct vm *fresh;
    bool is_right = call->argc == 2 || (call->argc == 3 && (span_is_word(call->argv[2], "SYNC") ||
                                                            span_is_word(call->argv[2], "ASYNC")));
    if (!is_right) {
        reply_error_text(call->reply, call->argc > 3
                                          ? "ERR unknown subcommand or wrong number of arguments "
                                            "for 'flush'. Try FUNCTION HELP."
                                          : "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
        return 0;
    }
    if (vm_new(&fresh, &engine->options.vm, true)) {
        reply_error(call->reply, REPLY_ERROR_OUT_OF_MEMORY);
        return 0;
    }
    struct library *before = engine->libraries;
    engine->libraries = NULL;
    if (!store(engine, call)) {
        engine->libraries = before;
        vm_free(fresh);
        return 0;
    }
    free_all(before);
    engine->libraries_bytes = 0;
    vm_free(engine->functions);
    engine->functions = fresh;
    reply_ok(call->reply);
    return 0;
}

// ---- restoring

enum policy { POLICY_APPEND, POLICY_REPLACE, POLICY_FLUSH };

struct restoring {
    struct engine *engine;
    struct library *first; // what the payload has
    size_t bytes;
};

static int take_restored(void *ctx, struct span code)
{
    struct restoring *restoring = ctx;
    struct library *library;
    struct vm *vm = restoring->engine->functions;
    restoring->bytes += code.len;
    if (restoring->bytes > FUNCTIONS_BYTES_MAX) {
        snprintf(vm->error, sizeof vm->error, "too much code of functions");
        return 2;
    }
    int outcome = library_new(&library, vm, code);
    if (outcome)
        return outcome < 0 ? outcome : 2;
    const char *name = colliding(library, restoring->first);
    if (name || find_library(&restoring->first, name_of(library))) {
        snprintf(vm->error, sizeof vm->error, "%s %s already exists", name ? "Function" : "Library",
                 name ? name : library->name);
        library_free(library);
        return 2;
    }
    library->is_restored = true;
    put_library(&restoring->first, library);
    return 0;
}

// Whether what was restored goes with what is there. False: the error is written.
static bool is_fitting(struct engine *engine, struct call *call, struct library *restored,
                       enum policy policy)
{
    for (struct library *at = restored; at; at = at->next) {
        struct library *same = find_library(&engine->libraries, name_of(at));
        if (same && policy == POLICY_APPEND) {
            refuse(call, "Library ", at->name, " already exists");
            return false;
        }
        for (const struct function *function = at->functions; function; function = function->next) {
            const struct function *other =
                find_function(engine->libraries, span_text(function->name));
            if (!other || find_library(&restored, name_of(other->library)))
                continue; // its library is replaced
            refuse(call, "Function ", function->name, " already exists");
            return false;
        }
    }
    return true;
}

// What stays of the list, moved to one that is then whole. out_gone: what is to be freed.
static struct library *merged(struct engine *engine, struct library *restored, enum policy policy,
                              struct library **out_gone)
{
    struct library *whole = restored;
    *out_gone = NULL;
    for (struct library *at = engine->libraries, *next; at; at = next) {
        next = at->next;
        bool is_gone = policy == POLICY_FLUSH || find_library(&whole, name_of(at));
        put_library(is_gone ? out_gone : &whole, at);
    }
    return whole;
}

static size_t bytes_of(const struct library *first)
{
    size_t bytes = 0;
    for (; first; first = first->next)
        bytes += first->code.len;
    return bytes;
}

// What was restored is as any other from now on, or goes again.
static void settle(struct library **first, bool is_undone)
{
    while (*first) {
        struct library *library = *first;
        if (library->is_restored && is_undone) {
            *first = library->next;
            library_free(library);
            continue;
        }
        library->is_restored = false;
        first = &library->next;
    }
}

// Frees `restored` unless it is in the list then.
static void join(struct engine *engine, struct call *call, struct library *restored,
                 enum policy policy)
{
    struct library *gone;
    size_t kept = policy == POLICY_FLUSH ? 0 : engine->libraries_bytes;
    if ((policy != POLICY_FLUSH && !is_fitting(engine, call, restored, policy)) ||
        is_too_much(call, kept + bytes_of(restored))) {
        free_all(restored);
        return;
    }
    engine->libraries = merged(engine, restored, policy, &gone);
    if (store(engine, call)) {
        settle(&engine->libraries, false);
        free_all(gone);
        reply_ok(call->reply);
    } else {
        settle(&engine->libraries, true);
        while (gone) {
            struct library *back = gone;
            gone = gone->next;
            put_library(&engine->libraries, back);
        }
    }
    engine->libraries_bytes = bytes_of(engine->libraries);
}

static bool take_policy(struct call *call, enum policy *out_policy)
{
    static const char *const names[] = {"APPEND", "REPLACE", "FLUSH"};
    *out_policy = POLICY_APPEND;
    if (call->argc == 3)
        return true;
    if (call->argc > 4) {
        reply_error_text(call->reply, "ERR unknown subcommand or wrong number of arguments for "
                                      "'restore'. Try FUNCTION HELP.");
        return false;
    }
    for (int i = 0; i < 3; i++) {
        if (!span_is_word(call->argv[3], names[i]))
            continue;
        *out_policy = (enum policy)i;
        return true;
    }
    reply_error_text(call->reply, "ERR Wrong restore policy given, value should be either FLUSH, "
                                  "APPEND or REPLACE.");
    return false;
}

int function_restore(struct engine *engine, struct call *call)
{
    enum policy policy;
    struct restoring restoring = {.engine = engine};
    if (!take_policy(call, &policy))
        return 0;
    if (!functions_is_payload(call->argv[2])) {
        reply_error_text(call->reply, "ERR DUMP payload version or checksum are wrong");
        return 0;
    }
    int outcome =
        functions_undump(engine->options.vm.heap, call->argv[2], take_restored, &restoring);
    if (outcome == 0) {
        join(engine, call, restoring.first, policy);
        return 0;
    }
    free_all(restoring.first);
    if (outcome < 0)
        reply_error(call->reply, REPLY_ERROR_OUT_OF_MEMORY);
    else
        refuse(call,
               outcome == 1 ? "failed loading the given functions payload"
                            : vm_error(engine->functions),
               "", "");
    return 0;
}

int engine_restore(struct engine *engine, struct span dump, struct buf *out_error)
{
    struct restoring restoring = {.engine = engine};
    int outcome = functions_undump(engine->options.vm.heap, dump, take_restored, &restoring);
    if (outcome) {
        free_all(restoring.first);
        buf_put_text(out_error, outcome == 2 ? vm_error(engine->functions)
                                             : "it is damaged, or of another version");
        return outcome < 0 ? outcome : 1;
    }
    settle(&restoring.first, false);
    engine->libraries = restoring.first;
    engine->libraries_bytes = restoring.bytes;
    return 0;
}

int function_dump(struct engine *engine, struct call *call)
{
    struct buf dump;
    buf_init(&dump, engine->options.vm.heap);
    functions_dump(engine->libraries, &dump);
    if (buf_has_failed(&dump))
        reply_error(call->reply, REPLY_ERROR_OUT_OF_MEMORY);
    else
        reply_bulk(call->reply, buf_span(&dump));
    buf_deinit(&dump);
    return 0;
}

// ---- telling

static void put_flags(struct reply *reply, uint32_t flags)
{
    size_t count = 0;
    for (unsigned i = 0; i < 5; i++)
        count += (flags >> i) & 1;
    reply_set(reply, count);
    for (unsigned i = 0; i < 5; i++) {
        if ((flags >> i) & 1)
            reply_simple(reply, vm_flag_names[i]);
    }
}

static void put_function(struct reply *reply, const struct function *function)
{
    reply_map(reply, 3);
    reply_bulk_text(reply, "name");
    reply_bulk_text(reply, function->name);
    reply_bulk_text(reply, "description");
    if (function->description)
        reply_bulk_text(reply, function->description);
    else
        reply_nil(reply);
    reply_bulk_text(reply, "flags");
    put_flags(reply, function->flags);
}

static void put_listed(struct reply *reply, const struct library *library, bool is_with_code)
{
    reply_map(reply, is_with_code ? 4 : 3);
    reply_bulk_text(reply, "library_name");
    reply_bulk(reply, name_of(library));
    reply_bulk_text(reply, "engine");
    reply_bulk_text(reply, "LUA");
    reply_bulk_text(reply, "functions");
    reply_array(reply, library->count);
    for (const struct function *at = library->functions; at; at = at->next)
        put_function(reply, at);
    if (!is_with_code)
        return;
    reply_bulk_text(reply, "library_code");
    reply_bulk(reply, library->code);
}

int function_list(struct engine *engine, struct call *call)
{
    bool is_with_code = false;
    const struct span *pattern = NULL;
    for (uint32_t i = 2; i < call->argc; i++) {
        if (!is_with_code && span_is_word(call->argv[i], "WITHCODE")) {
            is_with_code = true;
        } else if (!pattern && span_is_word(call->argv[i], "LIBRARYNAME")) {
            if (++i == call->argc) {
                reply_error_text(call->reply, "ERR library name argument was not given");
                return 0;
            }
            pattern = &call->argv[i];
        } else {
            refuse_word(call, "Unknown argument ", call->argv[i]);
            return 0;
        }
    }
    size_t mark = reply_open_array(call->reply), count = 0;
    for (const struct library *at = engine->libraries; at; at = at->next) {
        if (pattern && !glob_is_match(*pattern, name_of(at)))
            continue;
        put_listed(call->reply, at, is_with_code);
        count++;
    }
    reply_close_array(call->reply, mark, count);
    return 0;
}

// Whoever asks is answered by the thread that runs them: none is running.
int function_stats(struct engine *engine, struct call *call)
{
    struct engine_counts counts = engine_counts(engine);
    struct running none = {.libraries = counts.libraries, .functions = counts.functions};
    reply_function_stats(call->reply, &none, 0);
    return 0;
}

// ---- FCALL

int fcall_perform(struct engine *engine, struct call *call)
{
    struct vm_run run = {.is_function = true};
    struct function *function = find_function(engine->libraries, call->argv[1]);
    if (!function) {
        reply_error_text(call->reply, "ERR Function not found");
        return 0;
    }
    if (!engine_take_keys(call, &run, "ERR Bad number of keys provided") ||
        !engine_allows(call, &run, function->flags))
        return 0;
    run.name = function->name;
    run.function = function->reference;
    vm_run(engine->functions, &run);
    return 0;
}
