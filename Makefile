# One Makefile for everything. Flavours have a build folder each, so they never mix:
#   make                      build/none      release flags
#   make check SAN=asan       build/asan      address + undefined behaviour, leaks
#   make check SAN=tsan       build/tsan      data races
#   make SAN=analyze          build/analyze   gcc -fanalyzer over the whole tree
#   make KAFKA=no             without tocsin-probe-kafka; auto has it when librdkafka is there
#   make BPF=no               without request latency from the kernel; BPF=yes insists on it,
#                             BPF=auto has it when clang, bpftool and libbpf are there
# V=1 shows the commands, WERROR=1 makes a warning fatal (check.sh sets it).

.DEFAULT_GOAL := all
SAN ?= none
B   := build/$(SAN)
G   := build/gen
comma := ,
ifeq ($(V),)
Q := @
endif

CC      ?= gcc
CLANG   ?= clang-14
PKGS    := libcurl libcares libssl libcrypto libprotobuf-c libmicrohttpd libcjson yaml-0.1 liblz4 sqlite3 zlib
CPPFLAGS += -I. -I$(G) -D_GNU_SOURCE $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
        -Wmissing-prototypes -Wold-style-definition -Wvla -Wformat=2 -Wundef -Wpointer-arith \
        -Wcast-qual -Wwrite-strings -Wno-format-zero-length -Wimplicit-fallthrough -Wswitch-enum
# -ffp-contract=off: results must equal Prometheus's to the bit, so no fused multiply-add.
CFLAGS  += -std=c17 -g -ffp-contract=off $(WARN) $(if $(WERROR),-Werror)
LDLIBS  += $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lwslay -lm -lpthread

ifeq ($(SAN),none)
CFLAGS  += -O2 -fstack-protector-strong -fstack-clash-protection -fPIE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
LDFLAGS += -pie -Wl,-z,relro,-z,now
else ifeq ($(SAN),asan)
CFLAGS  += -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS += -fsanitize=address,undefined
else ifeq ($(SAN),tsan)
CFLAGS  += -O1 -fno-omit-frame-pointer -fsanitize=thread
LDFLAGS += -fsanitize=thread
else ifeq ($(SAN),analyze)
CFLAGS  += -O1 -fanalyzer
else
$(error SAN is none, asan, tsan or analyze)
endif

# --- the agent's programs for the kernel: optional ----------------------------------------------
BPF ?= auto
BPFTOOL ?= $(firstword $(shell command -v bpftool 2>/dev/null) $(wildcard /usr/sbin/bpftool))
BPF_MISSING := $(if $(shell command -v $(CLANG) 2>/dev/null),,$(CLANG)) $(if $(BPFTOOL),,bpftool) \
               $(if $(shell pkg-config --exists libbpf 2>/dev/null && echo yes),,libbpf)
ifeq ($(BPF),auto)
BPF_USED := $(if $(strip $(BPF_MISSING)),no,yes)
else
BPF_USED := $(BPF)
endif
ifeq ($(BPF_USED),yes)
BPF_SKEL := $(patsubst agent/bpf/%.bpf.c,$(G)/bpf/%.skel.h,$(wildcard agent/bpf/*.bpf.c))
# Generated code and the library's headers answer to their makers' warnings.
$(B)/agent/kernel_load.o: CPPFLAGS += -DTOCSIN_BPF -isystem $(G)/bpf
$(B)/agent/kernel_load.o: $(BPF_SKEL)
LDLIBS += -Wl,--as-needed $(shell pkg-config --libs libbpf) -Wl,--no-as-needed # of the agent only
endif
# With and without share a build folder: what was built the other way is built again.
ifeq ($(wildcard $(B)/bpf.$(BPF_USED)),)
$(shell mkdir -p $(B) && rm -f $(B)/bpf.* && touch $(B)/bpf.$(BPF_USED))
endif
$(B)/agent/kernel_load.o: $(B)/bpf.$(BPF_USED)

# --- what is in each folder ------------------------------------------------------------------
MAINS := agent/main.c agent/gnutls_off.c agent/netns_helper.c agent/kafka_main.c collector/main.c cli/main.c
lib_src = $(filter-out $(MAINS),$(wildcard $(1)/*.c))
lib_obj = $(patsubst %.c,$(B)/%.o,$(call lib_src,$(1)))
LIBS  := base wire rules agent collector cli
WIRE_PB := $(G)/wire/tocsin.pb-c.c

# Which libraries a program or a test of a folder may link: the direction of ARCHITECTURE.md.
use_base      := base
use_wire      := wire base
use_rules     := rules base
use_agent     := agent wire base
use_collector := collector rules wire base
use_cli       := cli rules wire base
use_flow      := collector rules agent wire base
archives = $(foreach l,$(use_$(1)),$(B)/lib$(l).a)

PROGRAMS := $(B)/tocsin-agent $(B)/tocsin-agent-netns $(B)/tocsin-collector $(B)/tocsin
# How far Kafka's consumer groups are behind: a program of its own, for librdkafka's threads.
KAFKA ?= auto
KAFKA_USED := $(if $(filter auto,$(KAFKA)),$(shell pkg-config --exists rdkafka 2>/dev/null && echo yes),$(KAFKA))
ifeq ($(KAFKA_USED),yes)
PROGRAMS += $(B)/tocsin-probe-kafka
endif

.PHONY: all check unit conformance mutations promqltest format lint fuzz bench install clean web layers e2e drills soak
all: $(PROGRAMS)
ifneq ($(BPF_USED),yes)
	@echo "  no request latency from the kernel: $(if $(filter no,$(BPF)),BPF=no,missing $(strip $(BPF_MISSING)))"
endif

$(B)/tocsin-agent: $(B)/agent/main.o $(B)/agent/gnutls_off.o $(call archives,agent)
$(B)/tocsin-agent: LDFLAGS += $(addprefix -Wl$(comma)--export-dynamic-symbol=,_gnutls_global_init_skip \
                              gnutls_global_init gnutls_global_deinit)
$(B)/tocsin-probe-kafka: $(B)/agent/kafka_main.o $(B)/libbase.a
$(B)/tocsin-probe-kafka: LDLIBS := $(shell pkg-config --libs rdkafka 2>/dev/null) -Wl,--as-needed $(LDLIBS)
$(B)/tocsin-agent-netns: $(B)/agent/netns_helper.o
$(B)/tocsin-agent-netns: LDLIBS = # small enough to be read before it gets its capabilities
$(B)/tocsin-collector: $(B)/collector/main.o $(call archives,collector) $(B)/collector/assets.o
$(B)/tocsin: $(B)/cli/main.o $(call archives,cli)
$(PROGRAMS):
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)

define lib_rule
$(B)/lib$(1).a: $(call lib_obj,$(1)) $(if $(filter wire,$(1)),$(B)/gen/wire/tocsin.pb-c.o) \
    $(if $(filter agent,$(1)),$(B)/gen/agent/otlp.pb-c.o)
	@mkdir -p $$(@D)
	@rm -f $$@
	$(Q)ar rcs $$@ $$^
endef
$(foreach l,$(LIBS),$(eval $(call lib_rule,$(l))))

ifeq ($(SAN),none)
# An agent wakes five times a second into a cold cache: what is smaller is quicker there. 5 % of its CPU.
$(B)/agent/%.o: CFLAGS += -Os
endif
$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# --- generated code: never committed ---------------------------------------------------------
$(G)/wire/tocsin.pb-c.c: wire/tocsin.proto
	@mkdir -p $(G)/wire
	$(Q)protoc-c --proto_path=wire --c_out=$(G)/wire $<
$(G)/wire/tocsin.pb-c.h: $(G)/wire/tocsin.pb-c.c
$(B)/gen/wire/tocsin.pb-c.o: $(G)/wire/tocsin.pb-c.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=c17 -O2 -fPIE $(filter -fsanitize%,$(CFLAGS)) -c -o $@ $<
$(G)/agent/otlp.pb-c.c: agent/otlp.proto
	@mkdir -p $(G)/agent
	$(Q)protoc-c --proto_path=agent --c_out=$(G)/agent $<
$(G)/agent/otlp.pb-c.h: $(G)/agent/otlp.pb-c.c
$(B)/gen/agent/otlp.pb-c.o: $(G)/agent/otlp.pb-c.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=c17 -O2 -fPIE $(filter -fsanitize%,$(CFLAGS)) -c -o $@ $<
$(call lib_obj,wire) $(call lib_obj,agent) $(B)/agent/main.o: | $(G)/wire/tocsin.pb-c.h \
    $(G)/agent/otlp.pb-c.h

# Needs no kernel headers of the machine it runs on: what differs is found when it is loaded.
$(G)/bpf/%.o: agent/bpf/%.bpf.c $(wildcard agent/bpf/*.h agent/*_slot.h agent/latency_*.h) \
    agent/kernel_cost.h
	@mkdir -p $(@D)
	@echo "  BPF   $<"
	$(Q)$(CLANG) -target bpf -mcpu=v3 -O2 -g -Wall -Werror -I. -idirafter /usr/include/$(shell $(CC) -dumpmachine) -c -o $@ $<
$(G)/bpf/%.skel.h: $(G)/bpf/%.o
	$(Q)$(BPFTOOL) gen object $(@:.skel.h=.linked.o) $< # without what is for debuggers, half of it
	$(Q)$(BPFTOOL) gen skeleton $(@:.skel.h=.linked.o) name $*_bpf >$@.new && mv $@.new $@

# --- the page: bundled by esbuild, compressed, embedded --------------------------------------
WEB_SRC := $(wildcard web/*.html web/*.json web/*.mjs web/src/* web/src/*/*)
web: build/web/stamp
build/web/stamp: $(WEB_SRC)
	@echo "  WEB   build/web"
	$(Q)sh web/build.sh
$(B)/collector/assets.o: collector/assets.S build/web/stamp
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -c -o $@ $<

# --- tests -----------------------------------------------------------------------------------
# tests/unit/FOLDER/test_x.c links what FOLDER may link; tests/flow/*.c links agent and collector.
UNIT_SRC  := $(wildcard tests/unit/*/test_*.c)
UNIT_BIN  := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))
FLOW_SRC  := $(wildcard tests/flow/test_*.c)
FLOW_BIN  := $(patsubst tests/flow/%.c,$(B)/flow/%,$(FLOW_SRC))
TESTLIB_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/lib/*.c))
# What the differential tests of the rules share.
CONFORMANCE_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/conformance/*.c))
CONFORMANCE_BIN := $(patsubst %,$(B)/unit/rules/test_%,differential native grid)
$(CONFORMANCE_BIN): $(CONFORMANCE_OBJ)
# The n-th allocation of code under test can be made to fail: tests/lib/oom.h.
WRAP := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup

define unit_rule
$(B)/unit/$(1)/%: $(B)/tests/unit/$(1)/%.o $(call archives,$(1)) $(TESTLIB_OBJ)
	@mkdir -p $$(@D)
	@echo "  LD    $$@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(WRAP) -o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^) -lcunit $(LDLIBS)
endef
$(foreach l,$(LIBS),$(eval $(call unit_rule,$(l))))
$(B)/flow/%: $(B)/tests/flow/%.o $(call archives,flow) $(TESTLIB_OBJ)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(WRAP) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcunit $(LDLIBS)

# Fuzz targets with a main of our own: `check` replays old crashes without clang.
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_SRC))
define fuzz_rule
$(B)/fuzz/$(1): $(B)/tests/fuzz/$(1).o $(B)/tests/fuzz/replay.o \
    $(foreach l,$(or $(shell sed -n '1,5s,^// links: ,,p' tests/fuzz/$(1).c),base),$(B)/lib$(l).a)
	@mkdir -p $$(@D)
	@echo "  LD    $$@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $(LDLIBS)
endef
$(foreach f,$(FUZZ_SRC),$(eval $(call fuzz_rule,$(patsubst tests/fuzz/%.c,%,$(f)))))
# Tests may look at the generated messages.
$(patsubst %.c,$(B)/%.o,$(UNIT_SRC) $(FLOW_SRC) $(FUZZ_SRC)): | $(G)/wire/tocsin.pb-c.h $(G)/agent/otlp.pb-c.h

unit: $(UNIT_BIN) $(FLOW_BIN) $(FUZZ_BIN) $(B)/promqltest
layers: $(B)/librules.a
	$(Q)sh tests/layers.sh $(B)
check: all unit layers $(B)/drills/feed
	$(Q)SAN=$(SAN) B=$(B) sh tests/run.sh
e2e: all $(B)/drills/feed
	$(Q)SAN=$(SAN) B=$(B) sh tests/run.sh only-e2e

format:
	$(Q)clang-format -i $$(git ls-files '*.c' '*.h')
lint:
	$(Q)sh tests/lint.sh

# The differential tests of the rules for longer than `check` runs them: tests/README.md.
CONFORMANCE_EVALUATIONS ?= 200000
conformance: $(CONFORMANCE_BIN)
	$(Q)CONFORMANCE_EVALUATIONS=$(CONFORMANCE_EVALUATIONS) CONFORMANCE_NATIVE=100000 \
	    CONFORMANCE_GRID=40 sh tests/conformance/run.sh $^

# Good rule files and expressions with one character changed, judged as promtool does.
MUTATIONS ?= 10000
mutations: $(B)/unit/rules/test_mutation $(B)/unit/rules/test_promtool
	$(Q)MUTATIONS=$(MUTATIONS) $(B)/unit/rules/test_mutation
	$(Q)MUTATIONS=$(MUTATIONS) $(B)/unit/rules/test_promtool

# promqltest scripts against the batch evaluator: our own, or those of the folder PROMQLTEST_DIR.
PROMQLTEST_DIR ?= tests/promqltest/cases
PROMQLTEST_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/promqltest/*.c))
$(B)/promqltest: $(PROMQLTEST_OBJ) $(call archives,rules)
	@echo "  LD    $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)
promqltest: $(B)/promqltest
	$(Q)$< $(PROMQLTEST_DIR)

# --- fuzzers: one program per parser, tests/fuzz/fuzz_x.c; FUZZ_SECONDS each -----------------
FUZZ_SECONDS ?= 30
fuzz: $(G)/wire/tocsin.pb-c.h $(G)/agent/otlp.pb-c.h
	$(Q)CLANG=$(CLANG) FUZZ_SECONDS=$(FUZZ_SECONDS) sh tests/fuzz/run.sh
$(B)/bench/%: $(B)/tests/bench/%.o $(B)/tests/bench/vagent.o $(call archives,wire)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)
$(B)/bench/rules: $(B)/bench/%: $(B)/tests/bench/%.o $(call archives,collector)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)
$(B)/bench/operators $(B)/bench/windows: $(B)/bench/%: $(B)/tests/bench/%.o $(call archives,rules)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)
bench: all $(B)/bench/load $(B)/bench/rules $(B)/bench/operators \
    $(B)/bench/windows
	@echo "benchmarks are one command each:"; ls tests/bench/*.sh

# Alerts that peers lose, invent or delay: the ten drills, beside Prometheus + Alertmanager where
# they are installed.
$(B)/drills/feed: $(B)/tests/drills/feed.o $(B)/tests/bench/vagent.o $(call archives,wire)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)
drills: all $(B)/drills/feed
	$(Q)B=$(B) node tests/drills/drills.mjs $(DRILLS)

# An agent under churn: memory and descriptors flat, nothing absurd.
SOAK_SECONDS ?= 3600
soak: all
	$(Q)B=$(B) SOAK_SECONDS=$(SOAK_SECONDS) node tests/soak/agent.mjs

PREFIX ?= /usr/local
install: all
	$(Q)DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) B=$(B) sh packaging/install.sh

clean:
	rm -rf build

.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
