# SPDX-License-Identifier: Apache-2.0
# One non-recursive Makefile. A new file, test or fuzz target needs no edit here: all are found by
# wildcard. MODE = release | debug | asan | tsan | tiny | test | fuzz; each has its own folder.
MODE ?= release
B := build/$(MODE)
CC ?= gcc
WERROR ?= -Werror

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef $(WERROR)
ARCH := $(if $(filter x86_64,$(shell uname -m)),-msse4.2)
ASAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_release := -O2 -g
CFLAGS_debug   := -O0 -g
CFLAGS_asan    := -O1 -g $(ASAN)
CFLAGS_tsan    := -O1 -g -fsanitize=thread
CFLAGS_tiny    := -O1 -g -DQUIPU_TINY
CFLAGS_test    := -O2 -g -DQUIPU_TEST_BUILD
CFLAGS_fuzz    := -O1 -g $(ASAN) -fsanitize=fuzzer-no-link
LDFLAGS_FUZZER := $(if $(filter fuzz,$(MODE)),-fsanitize=fuzzer)
CFLAGS_ALL := -std=gnu11 -D_GNU_SOURCE -pthread $(ARCH) $(CFLAGS_$(MODE)) $(WARN) -Isrc -I. -Iinclude \
	-I/usr/share/include/llhttp -I/usr/include/lua5.1 -MMD -MP $(CFLAGS)
LIBS := -lurcu-qsbr -lurcu-cds -lurcu-common -llua5.1 -lssl -lcrypto -lz -lm -pthread

ROOMS := base crdt keyspace wire journal node replica command client script os db service realtime cli
MAIN := src/cli/main.c
ROOM_SOURCES := $(filter-out $(MAIN),$(foreach r,$(ROOMS),$(wildcard src/$(r)/*.c)))
SIM_SOURCES := $(wildcard sim/*.c)
TEST_LIB := $(wildcard tests/lib/*.c)
TESTS := $(wildcard tests/unit/test_*.c tests/scenario/test_*.c)
FUZZERS := $(wildcard tests/fuzz/fuzz_*.c)
LLHTTP := $(wildcard /usr/share/llhttp/*.c)

# A word a command; V=1 shows the commands, make -s nothing.
QUIET := $(if $(V),,@)
SAY := @$(if $(V)$(findstring s,$(firstword -$(MAKEFLAGS))),:,echo)

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
LIBRARY_OBJECTS := $(call obj,$(ROOM_SOURCES) $(SIM_SOURCES)) \
	$(patsubst /usr/share/llhttp/%.c,$(B)/obj/llhttp/%.o,$(LLHTTP))
TEST_BINARIES := $(patsubst tests/%.c,$(B)/tests/%,$(TESTS))
FUZZ_BINARIES := $(patsubst tests/fuzz/fuzz_%.c,$(B)/fuzz/%,$(FUZZERS))

all: $(B)/quipu
	@:

$(B)/quipu: $(call obj,$(MAIN)) $(B)/libquipu.a
	$(SAY) "  LD  $@"
	$(QUIET)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LIBS)

# Every room and the simulator, and what tests share; whoever links takes only what it uses. Files of
# two rooms may have one name, so members are appended (q): r would replace the first by the second.
$(B)/libquipu.a: $(LIBRARY_OBJECTS)
$(B)/libtests.a: $(call obj,$(TEST_LIB))
$(B)/libquipu.a $(B)/libtests.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(SAY) "  AR  $@"
	$(QUIET)ar qcs $@ $^

$(B)/obj/%.o: %.c | $(B)/.libraries
	@mkdir -p $(@D)
	$(SAY) "  CC  $<"
	$(QUIET)$(CC) $(CFLAGS_ALL) -c -o $@ $<

$(B)/obj/llhttp/%.o: /usr/share/llhttp/%.c | $(B)/.libraries
	@mkdir -p $(@D)
	$(SAY) "  CC  $<"
	$(QUIET)$(CC) -O2 -g $(filter -fsanitize%,$(CFLAGS_$(MODE))) -I/usr/share/include/llhttp -w -c -o $@ $<

# A source that embeds web/ (by .incbin, which the compiler does not report) is stale when web/ is.
$(call obj,$(shell grep -ls incbin /dev/null $(ROOM_SOURCES))): $(wildcard web/*)

# Says which Debian packages are missing, by name, before the compiler stumbles over them.
$(B)/.libraries: tools/setup
	@mkdir -p $(@D)
	@tools/setup --check build
	@touch $@

$(B)/tests/%: $(B)/obj/tests/%.o $(B)/libtests.a $(B)/libquipu.a
	@mkdir -p $(@D)
	$(SAY) "  LD  $@"
	$(QUIET)$(CC) $(CFLAGS_ALL) -o $@ $^ $(LIBS) -lcmocka

$(B)/fuzz/%: $(B)/obj/tests/fuzz/fuzz_%.o $(if $(LDFLAGS_FUZZER),,$(B)/obj/tests/fuzz/replay.o) $(B)/libtests.a $(B)/libquipu.a
	@mkdir -p $(@D)
	$(SAY) "  LD  $@"
	$(QUIET)$(CC) $(CFLAGS_ALL) $(LDFLAGS_FUZZER) -o $@ $^ $(LIBS)

tests: $(TEST_BINARIES)
fuzzers: $(FUZZ_BINARIES)

# ---- what people type

run:
	@tools/setup build
	@tools/setup --optional try
	@$(MAKE) --no-print-directory -j2 all
	@$(B)/quipu up $(UP)

test:
	@tools/setup build test
	@tools/test

bench:
	@tools/setup build bench
	@$(MAKE) --no-print-directory -j2 all
	@bench/run

check:
	@tools/check/all

asan tsan tiny:
	@$(MAKE) --no-print-directory MODE=$@ all tests
test-build:
	@$(MAKE) --no-print-directory MODE=test all

FUZZ_SECONDS ?= 60
fuzz:
	@tools/setup build fuzz
	@tools/fuzz $(FUZZ_SECONDS)
fuzz-replay:
	@$(MAKE) --no-print-directory MODE=asan fuzzers
	@tools/fuzz --replay build/asan/fuzz

clean:
	rm -rf build

.PHONY: all tests fuzzers run test bench check asan tsan tiny test-build fuzz fuzz-replay clean
.SECONDARY:
-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
