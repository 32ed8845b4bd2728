// SPDX-License-Identifier: Apache-2.0
// The `struct` module as Redis has it (Ierusalimschy's): pack, unpack, size. A format is letters:
//
//   < > =   little, big, native order      ! [n]  alignment n (8), 1 at first      blank: nothing
//   b B h H l L T   1, 2, 8, 8 bytes       i I [n]  n bytes (4)      x  a byte of padding
//   f d     floats       s  a string and its zero       c [n]  n bytes (1; c0: all of it)
#include <lauxlib.h>
#include <math.h>
#include "script/vm.h"

#define INTEGER_MAX 32 // bytes that a format may name; numbers are exact to 8
#define ALIGN_FIRST 8
#define COUNT_MAX   INT32_MAX

struct format {
    lua_State *lua;
    const char *at;
    bool is_little;
    uint32_t align;
    size_t offset; // of what is packed or unpacked
};

struct item {
    char kind;
    uint32_t size;
};

static uint32_t take_count(struct format *format, uint32_t otherwise)
{
    if (*format->at < '0' || *format->at > '9')
        return otherwise;
    uint32_t count = 0;
    while (*format->at >= '0' && *format->at <= '9') {
        uint32_t digit = (uint32_t)(*format->at++ - '0');
        if (count > (COUNT_MAX - digit) / 10)
            luaL_error(format->lua, "integral size overflow");
        count = count * 10 + digit;
    }
    return count;
}

static uint32_t take_integer_size(struct format *format)
{
    uint32_t size = take_count(format, 4);
    if (size == 0 || size > INTEGER_MAX)
        luaL_error(format->lua, "integral size %d is larger than limit of %d", (int)size,
                   INTEGER_MAX);
    return size;
}

static void set_order(struct format *format, char kind)
{
    if (kind == '!') {
        uint32_t align = take_count(format, ALIGN_FIRST);
        if (align == 0 || (align & (align - 1)))
            luaL_error(format->lua, "alignment is not a power of 2");
        format->align = align;
    } else if (kind != ' ') {
        format->is_little = kind != '>'; // every machine that this runs on is little
    }
}

// The next item with its size. False: the end.
static bool take_item(struct format *format, struct item *item)
{
    while (*format->at && strchr("<>=! ", *format->at)) {
        char kind = *format->at++;
        set_order(format, kind);
    }
    item->kind = *format->at;
    if (!item->kind)
        return false;
    format->at++;
    switch (item->kind) {
    case 'b':
    case 'B':
    case 'x':
        item->size = 1;
        break;
    case 'h':
    case 'H':
        item->size = 2;
        break;
    case 'l':
    case 'L':
    case 'T':
    case 'd':
        item->size = 8;
        break;
    case 'f':
        item->size = 4;
        break;
    case 's':
        item->size = 0;
        break;
    case 'i':
    case 'I':
        item->size = take_integer_size(format);
        break;
    case 'c':
        item->size = take_count(format, 1);
        break;
    default:
        luaL_error(format->lua, "invalid format option '%c'", item->kind);
    }
    return true;
}

// What is to be skipped in front of it.
static size_t padding_of(const struct format *format, const struct item *item)
{
    uint32_t align = item->size;
    if (align == 0 || strchr("csx", item->kind))
        return 0;
    if (align > format->align)
        align = format->align;
    if (align & (align - 1))
        return 0;
    return (align - (format->offset & (align - 1))) & (align - 1);
}

static struct format format_of(lua_State *lua)
{
    return (struct format){
        .lua = lua, .at = luaL_checkstring(lua, 1), .is_little = true, .align = 1};
}

// ---- packing

static void put_bytes(struct vm *vm, const struct format *format, uint64_t bits, uint32_t size)
{
    bool is_negative = bits >> 63; // goes on in bytes beyond the eighth
    for (uint32_t i = 0; i < size; i++) {
        uint32_t at = format->is_little ? i : size - 1 - i;
        uint64_t shifted = at < 8 ? bits >> 8 * at : is_negative ? UINT64_MAX : 0;
        buf_put_byte(&vm->text, (uint8_t)shifted);
    }
}

static void put_integer(lua_State *lua, struct vm *vm, const struct format *format,
                        const struct item *item, int arg)
{
    lua_Number number = luaL_checknumber(lua, arg);
    uint64_t bits;
    if (number >= -0x1p63 && number < 0x1p63)
        bits = (uint64_t)(int64_t)number;
    else
        bits = number >= 0x1p63 && number < 0x1p64 ? (uint64_t)number : (uint64_t)INT64_MIN;
    put_bytes(vm, format, bits, item->size);
}

static void put_float(lua_State *lua, struct vm *vm, const struct format *format,
                      const struct item *item, int arg)
{
    double number = luaL_checknumber(lua, arg);
    uint64_t bits = 0;
    if (item->size == 8) {
        memcpy(&bits, &number, sizeof bits);
    } else {
        float single = (float)number;
        memcpy(&bits, &single, sizeof single);
    }
    for (uint32_t i = 0; i < item->size; i++)
        buf_put_byte(&vm->text,
                     (uint8_t)(bits >> 8 * (format->is_little ? i : item->size - 1 - i)));
}

static void put_string(lua_State *lua, struct vm *vm, const struct item *item, int arg)
{
    size_t len;
    const char *text = luaL_checklstring(lua, arg, &len);
    size_t size = item->size ? item->size : len;
    luaL_argcheck(lua, len >= size, arg, "string too short");
    buf_put(&vm->text, span_of(text, size));
    if (item->kind == 's')
        buf_put_byte(&vm->text, 0);
}

static int struct_pack(lua_State *lua)
{
    struct vm *vm = vm_of(lua);
    struct format format = format_of(lua);
    struct item item;
    int arg = 2;
    buf_clear(&vm->text);
    while (take_item(&format, &item)) {
        for (size_t left = padding_of(&format, &item); left > 0; left--)
            buf_put_byte(&vm->text, 0);
        if (item.kind == 'x')
            buf_put_byte(&vm->text, 0);
        else if (item.kind == 'c' || item.kind == 's')
            put_string(lua, vm, &item, arg++);
        else if (item.kind == 'f' || item.kind == 'd')
            put_float(lua, vm, &format, &item, arg++);
        else
            put_integer(lua, vm, &format, &item, arg++);
        vm_check_text(lua, vm);
        format.offset = vm->text.len;
    }
    vm_push_text(lua, vm);
    return 1;
}

// ---- unpacking

static uint64_t take_bits(const struct format *format, const uint8_t *from, uint32_t size)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < size; i++) {
        uint32_t at = format->is_little ? size - 1 - i : i;
        bits = bits << 8 | from[at];
    }
    return bits;
}

static void push_integer(lua_State *lua, const struct format *format, const struct item *item,
                         const uint8_t *from)
{
    uint64_t bits = take_bits(format, from, item->size);
    bool is_signed = item->kind >= 'a'; // lower case, but for what has no sign to tell
    if (item->size < 8) {
        unsigned unused = 64 - 8 * item->size;
        int64_t value = is_signed ? (int64_t)(bits << unused) >> unused : (int64_t)bits;
        lua_pushnumber(lua, (lua_Number)value);
    } else if (is_signed) {
        lua_pushnumber(lua, (lua_Number)(int64_t)bits);
    } else {
        lua_pushnumber(lua, (lua_Number)bits);
    }
}

static void push_float(lua_State *lua, const struct format *format, const struct item *item,
                       const uint8_t *from)
{
    uint64_t bits = take_bits(format, from, item->size);
    double number;
    if (item->size == 8) {
        memcpy(&number, &bits, sizeof number);
    } else {
        uint32_t low = (uint32_t)bits;
        float single;
        memcpy(&single, &low, sizeof single);
        number = (double)single;
    }
    lua_pushnumber(lua, number);
}

// "c0": as long as the number before it says, which it takes the place of.
static size_t take_length(lua_State *lua, int pushed)
{
    if (pushed == 0 || lua_type(lua, -1) != LUA_TNUMBER)
        luaL_error(lua, "format `c0' needs a previous size");
    lua_Number len = lua_tonumber(lua, -1);
    luaL_argcheck(lua, len >= 0 && len <= COUNT_MAX, 2, "data string too short");
    lua_pop(lua, 1);
    return (size_t)len;
}

// One item; how many values are on the stack after it.
static int push_item(lua_State *lua, struct format *format, const struct item *item,
                     struct span data, int pushed)
{
    const uint8_t *from = data.ptr + format->offset;
    size_t left = data.len - format->offset, size = item->size;
    if (item->kind == 'c' && size == 0) {
        size = take_length(lua, pushed);
        pushed--;
    }
    luaL_argcheck(lua, size <= left, 2, "data string too short");
    if (item->kind == 's') {
        const uint8_t *end = left ? memchr(from, '\0', left) : NULL;
        luaL_argcheck(lua, end != NULL, 2, "unfinished string in data");
        lua_pushlstring(lua, (const char *)from, (size_t)(end - from));
        format->offset += (size_t)(end - from) + 1;
        return pushed + 1;
    }
    format->offset += size;
    if (item->kind == 'x')
        return pushed;
    if (item->kind == 'c')
        lua_pushlstring(lua, size ? (const char *)from : "", size);
    else if (item->kind == 'f' || item->kind == 'd')
        push_float(lua, format, item, from);
    else
        push_integer(lua, format, item, from);
    return pushed + 1;
}

static int struct_unpack(lua_State *lua)
{
    size_t len;
    struct format format = format_of(lua);
    const char *text = luaL_checklstring(lua, 2, &len);
    lua_Number first = luaL_optnumber(lua, 3, 1);
    luaL_argcheck(lua, first >= 1 && first - 1 <= (lua_Number)len, 3,
                  "offset must be 1 or greater");
    struct item item;
    int pushed = 0;
    format.offset = (size_t)first - 1;
    lua_settop(lua, 2);
    while (take_item(&format, &item)) {
        luaL_checkstack(lua, 4, "too many results");
        format.offset += padding_of(&format, &item);
        luaL_argcheck(lua, format.offset <= len, 2, "data string too short");
        pushed = push_item(lua, &format, &item, span_of(text, len), pushed);
    }
    lua_pushnumber(lua, (lua_Number)format.offset + 1);
    return pushed + 1;
}

static int struct_size(lua_State *lua)
{
    struct format format = format_of(lua);
    struct item item;
    while (take_item(&format, &item)) {
        luaL_argcheck(lua, item.kind != 's', 1, "variable-size format in `size'");
        luaL_argcheck(lua, item.kind != 'c' || item.size > 0, 1, "variable-length format");
        format.offset += padding_of(&format, &item) + item.size;
        luaL_argcheck(lua, format.offset <= COUNT_MAX, 1, "size overflow");
    }
    lua_pushnumber(lua, (lua_Number)format.offset);
    return 1;
}

void struct_push(lua_State *lua)
{
    static const luaL_Reg functions[] = {
        {"pack", struct_pack}, {"unpack", struct_unpack}, {"size", struct_size}};
    lua_newtable(lua);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushcfunction(lua, functions[i].func);
        lua_setfield(lua, -2, functions[i].name);
    }
}
