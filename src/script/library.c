// SPDX-License-Identifier: Apache-2.0
// A library from its text: the first line names it, its top level registers functions.
#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <strings.h>
#include "script/functions.h"

#define LOAD_MS_MAX 500

static const char bad_name[] = "Library names can only contain letters, numbers, or underscores(_) "
                               "and must be at least one character long";

static bool is_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.ptr[i], letter = byte | 0x20;
        bool is_digit = byte >= '0' && byte <= '9';
        if (!is_digit && !(letter >= 'a' && letter <= 'z') && byte != '_')
            return false;
    }
    return name.len > 0;
}

// ---- functions

struct registration {
    size_t name_len;
    const char *name, *description; // Lua's
    uint32_t flags;
    int callback; // on the stack; 0: none
};

static void function_free(struct vm *vm, struct function *function)
{
    struct heap *heap = vm->host.heap;
    if (function->reference != LUA_NOREF && vm->lua)
        vm_forget(vm, function->reference);
    if (function->name)
        heap_free(heap, function->name, strlen(function->name) + 1);
    if (function->description)
        heap_free(heap, function->description, strlen(function->description) + 1);
    heap_free(heap, function, sizeof *function);
}

static char *copy_text(struct heap *heap, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = heap_alloc(heap, size);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

struct function *library_find(const struct library *library, struct span name)
{
    for (struct function *function = library->functions; function; function = function->next) {
        if (span_is_equal(span_text(function->name), name))
            return function;
    }
    return NULL;
}

// Adds it, or tells why not.
static const char *add(lua_State *lua, struct library *library,
                       const struct registration *registration)
{
    struct heap *heap = library->vm->host.heap;
    struct span name = span_of(registration->name, registration->name_len);
    if (!is_name(name))
        return bad_name;
    if (library_find(library, name))
        return "Function already exists in the library";
    if (library->count == FUNCTIONS_MAX)
        return "too many functions";
    struct function *function = heap_alloc(heap, sizeof *function);
    if (!function)
        return "not enough memory";
    *function = (struct function){
        .library = library, .reference = LUA_NOREF, .flags = registration->flags | VM_DECLARED};
    *library->last = function; // from here on the library's to free
    library->last = &function->next;
    library->count++;
    function->name = copy_text(heap, registration->name);
    if (registration->description)
        function->description = copy_text(heap, registration->description);
    if (!function->name || (registration->description && !function->description))
        return "not enough memory";
    lua_pushvalue(lua, registration->callback);
    function->reference = luaL_ref(lua, LUA_REGISTRYINDEX);
    return NULL;
}

static const char *take_flags(lua_State *lua, struct registration *registration)
{
    for (int i = 1;; i++) {
        size_t len;
        uint32_t flag;
        lua_rawgeti(lua, -1, i);
        if (lua_isnil(lua, -1))
            break;
        const char *text = lua_type(lua, -1) == LUA_TSTRING ? lua_tolstring(lua, -1, &len) : NULL;
        if (!text || !vm_flag_find(span_of(text, len), &flag))
            return "unknown flag given";
        registration->flags |= flag;
        lua_pop(lua, 1);
    }
    lua_pop(lua, 1);
    return NULL;
}

// The value on top, of the named argument `key`.
static const char *take_argument(lua_State *lua, const char *key, struct registration *registration)
{
    if (strcasecmp(key, "function_name") == 0) {
        if (!lua_isstring(lua, -1))
            return "function_name argument given to redis.register_function must be a string";
        registration->name = lua_tolstring(lua, -1, &registration->name_len);
    } else if (strcasecmp(key, "description") == 0) {
        if (!lua_isstring(lua, -1))
            return "description argument given to redis.register_function must be a string";
        registration->description = lua_tostring(lua, -1);
    } else if (strcasecmp(key, "callback") == 0) {
        if (!lua_isfunction(lua, -1))
            return "callback argument given to redis.register_function must be a function";
        lua_pushvalue(lua, -1);
        lua_replace(lua, 2);
        registration->callback = 2;
    } else if (strcasecmp(key, "flags") == 0) {
        if (!lua_istable(lua, -1))
            return "flags argument to redis.register_function must be a table representing "
                   "function flags";
        return take_flags(lua, registration);
    } else {
        return "unknown argument given to redis.register_function";
    }
    return NULL;
}

// One table with names.
static const char *take_named(lua_State *lua, struct registration *registration)
{
    if (!lua_istable(lua, 1))
        return "calling redis.register_function with a single argument is only applicable to Lua "
               "table (representing named arguments).";
    lua_pushnil(lua); // the callback's place: 2
    for (lua_pushnil(lua); lua_next(lua, 1); lua_pop(lua, 1)) {
        if (lua_type(lua, -2) != LUA_TSTRING)
            return "named argument key given to redis.register_function is not a string";
        const char *why = take_argument(lua, lua_tostring(lua, -2), registration);
        if (why)
            return why;
    }
    if (!registration->name)
        return "redis.register_function must get a function name argument";
    return registration->callback ? NULL : "redis.register_function must get a callback argument";
}

static const char *take_positions(lua_State *lua, struct registration *registration)
{
    if (!lua_isstring(lua, 1))
        return "first argument to redis.register_function must be a string";
    registration->name = lua_tolstring(lua, 1, &registration->name_len);
    if (!lua_isfunction(lua, 2))
        return "second argument to redis.register_function must be a function";
    registration->callback = 2;
    return NULL;
}

int functions_register(lua_State *lua)
{
    struct vm *vm = vm_of(lua);
    struct registration registration = {0};
    int given = lua_gettop(lua);
    if (given < 1 || given > 2)
        return vm_raise(lua, "wrong number of arguments to redis.register_function");
    const char *why =
        given == 1 ? take_named(lua, &registration) : take_positions(lua, &registration);
    if (why)
        return vm_raise(lua, why);
    if (!vm->loading)
        return vm_raise(lua, "redis.register_function can only be called on FUNCTION LOAD command");
    why = add(lua, vm->loading, &registration);
    return why ? vm_raise(lua, why) : 0;
}

// ---- the library

struct heading { // "#!lua name=mine"
    struct span engine, name;
};

// The next word of the line. False: none is left.
static bool take_word(struct span *line, struct span *out_word)
{
    while (line->len && (*line->ptr == ' ' || *line->ptr == '\t' || *line->ptr == '\r'))
        *line = span_of(line->ptr + 1, line->len - 1);
    size_t len = 0;
    while (len < line->len && !strchr(" \t\r", line->ptr[len]) && line->ptr[len])
        len++;
    *out_word = span_of(line->ptr, len);
    *line = span_of(line->ptr + len, line->len - len);
    return len > 0;
}

static struct span unquoted(struct span word)
{
    bool is_quoted = word.len >= 2 && (*word.ptr == '"' || *word.ptr == '\'') &&
                     word.ptr[word.len - 1] == *word.ptr;
    return is_quoted ? span_of(word.ptr + 1, word.len - 2) : word;
}

static int refuse(struct vm *vm, const char *what, struct span detail)
{
    snprintf(vm->error, sizeof vm->error, "%s%.*s", what,
             (int)(detail.len < 100 ? detail.len : 100),
             detail.ptr ? (const char *)detail.ptr : "");
    return 1;
}

static int take_heading(struct vm *vm, struct span code, struct heading *heading)
{
    const struct span none = {0};
    if (code.len < 2 || memcmp(code.ptr, "#!", 2) != 0)
        return refuse(vm, "Missing library metadata", none);
    const uint8_t *end = memchr(code.ptr, '\n', code.len);
    if (!end)
        return refuse(vm, "Invalid library metadata", none);
    struct span line = span_of(code.ptr + 2, (size_t)(end - code.ptr) - 2), word;
    if (line.len && *line.ptr != ' ' && *line.ptr != '\t') // "#! name=x" has an engine without name
        take_word(&line, &heading->engine);
    while (take_word(&line, &word)) {
        if (word.len < 5 || strncasecmp((const char *)word.ptr, "name=", 5) != 0)
            return refuse(vm, "Invalid metadata value given: ", word);
        if (heading->name.ptr)
            return refuse(vm, "Invalid metadata value, name argument was given multiple times",
                          none);
        heading->name = unquoted(span_of(word.ptr + 5, word.len - 5));
    }
    if (!heading->name.ptr)
        return refuse(vm, "Library name was not given", none);
    if (!is_name(heading->name))
        return refuse(vm, bad_name, none);
    if (span_is_word(heading->engine, "LUA"))
        return 0;
    snprintf(vm->error, sizeof vm->error, "Engine '%.*s' not found",
             (int)(heading->engine.len < 100 ? heading->engine.len : 100),
             heading->engine.len ? (const char *)heading->engine.ptr : "");
    return 1;
}

int library_new(struct library **out_library, struct vm *vm, struct span code)
{
    struct heading heading = {0};
    int outcome = take_heading(vm, code, &heading);
    if (outcome)
        return outcome;
    size_t size = sizeof(struct library) + heading.name.len + 1 + code.len;
    struct library *library = heap_alloc(vm->host.heap, size);
    if (!library)
        return -ENOMEM;
    *library = (struct library){.vm = vm, .name_len = heading.name.len};
    library->last = &library->functions;
    memcpy(library->name, heading.name.ptr, heading.name.len);
    library->name[heading.name.len] = '\0';
    char *copy = library->name + heading.name.len + 1;
    memcpy(copy, code.ptr, code.len);
    library->code = span_of(copy, code.len);
    outcome = vm_load(vm, library, library->code, LOAD_MS_MAX);
    if (!outcome && library->count == 0)
        outcome = refuse(vm, "No functions registered", (struct span){0});
    if (outcome)
        library_free(library);
    else
        *out_library = library;
    return outcome;
}

void library_free(struct library *library)
{
    struct vm *vm = library->vm;
    while (library->functions) {
        struct function *function = library->functions;
        library->functions = function->next;
        function_free(vm, function);
    }
    heap_free(vm->host.heap, library, sizeof *library + library->name_len + 1 + library->code.len);
}
