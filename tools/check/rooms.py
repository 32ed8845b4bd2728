# SPDX-License-Identifier: Apache-2.0
"""The rooms of the tree and what each may use: the one place. ARCHITECTURE.md says the same, and
the layers fence compares the two."""

# A room may include itself and these. Single files of another room are written with their path.
MAY_INCLUDE = {
    "base": [],
    "crdt": ["base"],
    "keyspace": ["base", "crdt"],
    "wire": ["base", "crdt"],
    "journal": ["base", "crdt"],
    "node": ["base", "crdt", "wire"],
    "replica": ["base", "crdt", "keyspace", "node", "wire", "journal"],
    "command": ["base", "crdt", "keyspace", "node", "replica", "wire"],
    "client": ["base", "crdt"],
    "script": ["base", "command", "wire/json.h"],
    "os": ["base", "journal/disk.h"],
    "db": ["base", "crdt", "keyspace", "wire", "journal", "node", "replica", "command", "script", "os"],
    "service": ["base", "wire", "os"],
    "realtime": ["base", "wire", "os"],
    "cli": ["base", "crdt", "keyspace", "wire", "journal", "node", "replica", "command", "script",
            "os", "db", "service", "realtime", "client", "sim"],
    "sim": ["base", "crdt", "keyspace", "node", "wire", "journal", "replica"],
}

# Rooms without clocks, files, sockets, threads and an allocator of their own.
PURE = ["base", "crdt", "keyspace", "node", "wire", "journal", "replica", "command"]

# The part of libc that pure rooms may include and call.
PURE_HEADERS = set("assert.h ctype.h errno.h inttypes.h limits.h math.h stdalign.h stdarg.h "
                   "stdbool.h stddef.h stdint.h stdio.h stdlib.h string.h".split())
PURE_CALLS = set("memchr memcmp memcpy memmem memmove memrchr memset strchr strcmp strcspn strlen "
                 "strncmp strnlen strrchr strspn strstr snprintf vsnprintf strerrordesc_np qsort "
                 "bsearch strtod __strtod_internal ldexp isnan pow floor __assert_fail "
                 "__errno_location __popcountdi2 __udivti3 __divti3 __umodti3 __stack_chk_fail "
                 "_GLOBAL_OFFSET_TABLE_".split())

# What one file may call beside that, and why.
EXTRA_CALLS = {
    # liburcu's thread may hold a batch longer than the keyspace, and its heap, exist.
    "keyspace/grace.c": {"malloc", "free"},
    # Ertl's estimator.
    "crdt/sketch.c": {"sqrt", "llround"},
}

# Libraries, and who alone may use them: headers and symbols by prefix.
LIBRARIES = [
    # headers,            symbols,                  places
    ("urcu",              "urcu_ rcu_ cds_",         ["keyspace"]),
    ("stdatomic.h",       "",                        ["keyspace", "db", "os"]),
    ("pthread.h",         "pthread_",                ["keyspace", "os", "db", "script"]),
    ("llhttp.h",          "llhttp_",                 ["wire/http.c", "wire/http_head.c"]),
    ("openssl/",          "HMAC EVP_ CRYPTO_ SHA1 OPENSSL_",
     ["wire/hmac.c", "wire/websocket_upgrade.c", "os/tls.c", "script/sha1.c"]),
    ("openssl/ssl.h",     "SSL_ TLS_ X509_ ERR_",    ["os/tls.c"]),
    ("zlib.h",            "deflate inflate",       ["wire/deflate.c"]),
    ("nmmintrin.h",       "",                        ["base/crc32c.c"]),
    ("lua",               "lua_ luaL_ luaopen_",     ["script"]),
    ("lauxlib.h",         "",                        ["script"]),
]
