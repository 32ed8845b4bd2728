# SPDX-License-Identifier: Apache-2.0
# One non-recursive Makefile. A new file or test needs no edit here: sources, tests and fuzz targets
# are found by wildcard. MODE = release | debug | asan | tsan | tiny | test ; each has its own folder.
MODE ?= release
B := build/$(MODE)
CC ?= gcc
WERROR ?= -Werror

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef $(WERROR)
ARCH := $(if $(filter x86_64,$(shell uname -m)),-msse4.2)
CFLAGS_release := -O2 -g
CFLAGS_debug   := -O0 -g
CFLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -g -fsanitize=thread
CFLAGS_tiny    := -O1 -g -DQUIPU_TINY
CFLAGS_test    := -O2 -g -DQUIPU_TEST_BUILD
CFLAGS_ALL := -std=gnu11 -D_GNU_SOURCE -pthread $(ARCH) $(CFLAGS_$(MODE)) $(WARN) -Isrc -I. -Iinclude \
	-I/usr/share/include/llhttp -I/usr/include/lua5.1 -MMD -MP $(CFLAGS)
LIBS := -lurcu-qsbr -lurcu-cds -lurcu-common -ljansson -llua5.1 -lcrypto -lm -pthread

ROOMS := base crdt keyspace wire journal node replica command script os db service realtime
ROOM_SOURCES := $(foreach r,$(ROOMS),$(wildcard src/$(r)/*.c))
CLI_SOURCES := $(wildcard src/cli/*.c)
SIM_SOURCES := $(wildcard sim/*.c)
TEST_LIB := $(wildcard tests/lib/*.c)
TESTS := $(wildcard tests/unit/test_*.c tests/scenario/test_*.c)
LLHTTP := $(wildcard /usr/share/llhttp/*.c)

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
ROOM_OBJECTS := $(call obj,$(ROOM_SOURCES)) $(patsubst /usr/share/llhttp/%.c,$(B)/obj/llhttp/%.o,$(LLHTTP))
TEST_BINARIES := $(patsubst tests/%.c,$(B)/tests/%,$(TESTS))

all: $(B)/quipu

$(B)/quipu: $(B)/libquipu.a $(call obj,$(CLI_SOURCES) $(SIM_SOURCES))
	$(CC) $(CFLAGS_ALL) -o $@ $(filter %.o,$^) $(B)/libquipu.a $(LIBS)

$(B)/libquipu.a: $(ROOM_OBJECTS)
	@rm -f $@
	ar rcs $@ $^

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -c -o $@ $<

$(B)/obj/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	$(CC) -O2 -g $(filter -fsanitize%,$(CFLAGS_$(MODE))) -I/usr/share/include/llhttp -w -c -o $@ $<

$(B)/tests/%: $(B)/obj/tests/%.o $(call obj,$(TEST_LIB) $(SIM_SOURCES)) $(B)/libquipu.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -o $@ $(filter %.o,$^) $(B)/libquipu.a $(LIBS) -lcmocka

tests: $(TEST_BINARIES)

clean:
	rm -rf build

.PHONY: all tests clean
.SECONDARY:
-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
