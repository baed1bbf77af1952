# qa: make            builds build/qa, build/libqa.a, build/libqa.so
#     make demo       installs what is missing, builds, runs the main example
#     make test       builds and runs every test
#     make bench      prints our speed beside the peers'
#     make install    PREFIX=/usr/local DESTDIR=
# MODE=release (default) | asan | tsan | debug: each has its own folder.
# V=1 shows the commands.

MODE   ?= release
PREFIX ?= /usr/local
CC     ?= cc
Q      := $(if $(V),,@)
say     = $(if $(V),,@echo '  $(1)  $@')
B := build$(if $(filter-out release,$(MODE)),/$(MODE))

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter
OPT_release := -O2 -g
OPT_debug   := -O0 -g
OPT_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
OPT_tsan    := -O1 -g -fsanitize=thread
FLAGS  := -std=c11 -D_GNU_SOURCE $(OPT_$(MODE)) -fPIC -fvisibility=hidden -fopenmp-simd -fno-math-errno -fno-trapping-math -pthread -I. -Ilang -I$(B)/gen
CFLAGS ?=
LIBS   := -lz -lsqlite3 -lcjson -lm -ldl -pthread

# Everything below runtime/ and lang/ is compiled: a new file needs no entry here.
# Of lang/tools only the embedding interface belongs to the library.
SRC  := $(sort $(shell find runtime lang -name '*.c' ! -path 'lang/tools/*') lang/tools/api.c)
CLI  := $(filter-out lang/tools/api.c lang/tools/embed.c,$(wildcard lang/tools/*.c))
GEN  := $(B)/gen/scan.c $(B)/gen/grammar.c $(B)/gen/stdlib.c $(B)/gen/tables.c
OBJ  := $(SRC:%.c=$(B)/obj/%.o) $(GEN:%.c=%.o)
STD  := $(sort $(shell find stdlib -type f ! -name '*.md'))

VERSION := 0.1.0
COMMA   := ,
NO_UNDEFINED := $(if $(filter release,$(MODE)),-Wl$(COMMA)-z$(COMMA)defs)
SONAME  := libqa.so.0

.PHONY: all demo test bench install clean deps tests fuzz
all: $(B)/qa $(B)/libqa.a $(B)/libqa.so

$(B)/qa: $(CLI:%.c=$(B)/obj/%.o) $(B)/libqa.a
	$(call say,link)
	$(Q)$(CC) $(FLAGS) $(CFLAGS) -o $@ $^ -ledit $(LIBS)

$(B)/libqa.a: $(OBJ)
	$(call say,ar  )
	$(Q)rm -f $@; ar rcs $@ $(OBJ)

# Only what qa.h declares is exported: everything is compiled hidden, and the
# version script keeps out what the linker itself would add.
$(B)/libqa.so.$(VERSION): $(OBJ) lang/tools/libqa.map
	$(call say,link)
	$(Q)$(CC) $(FLAGS) $(CFLAGS) -shared -Wl,-soname,$(SONAME) -Wl,-z,nodelete \
	  -Wl,--version-script=lang/tools/libqa.map $(NO_UNDEFINED) -o $@ $(OBJ) $(LIBS)
$(B)/$(SONAME): $(B)/libqa.so.$(VERSION)
	@ln -sf $(<F) $@
$(B)/libqa.so: $(B)/$(SONAME)
	@ln -sf $(<F) $@

$(B)/obj/%.o: %.c | $(B)/gen/grammar.h
	@mkdir -p $(@D)
	$(call say,cc  )
	$(Q)$(CC) $(FLAGS) $(WARN) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/gen/%.o: $(B)/gen/%.c $(B)/gen/grammar.h
	$(call say,cc  )
	$(Q)$(CC) $(FLAGS) -Wall -Wno-unused $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/gen/scan.c: lang/syntax/scan.re $(B)/gen/grammar.h
	$(call say,re2c)
	$(Q)re2c -W -Werror -i --no-generation-date --case-ranges -o $@ $<

# lemon writes beside its input; -c keeps the tables uncompressed, which the
# "expected ..." lists need.
$(B)/gen/grammar.h: lang/syntax/grammar.y
	@mkdir -p $(@D)
	$(call say,lemon)
	$(Q)lemon -c -q -d$(@D) $<
	@touch $@ && touch $(@:.h=.c)
$(B)/gen/grammar.c: $(B)/gen/grammar.h ;

$(B)/gen/stdlib.c: $(B)/embed $(STD)
	$(call say,embed)
	$(Q)$(B)/embed $(STD) > $@.tmp && mv $@.tmp $@
# Every `const Native natives_AREA[]` of lang/bind and lang/blocks is a table of
# library functions: an area is added by adding its file.  `int make_natives_AREA(Vm *vm)`
# adds functions whose rows lie in a table of the runtime.
NATIVES := $(sort $(wildcard lang/bind/*.c lang/blocks/*.c))
$(B)/gen/tables.c: $(NATIVES) Makefile
	@mkdir -p $(@D)
	@{ echo '#include "lang/vm/vm.h"'; \
	   names=$$(grep -hoE '^const Native natives_[a-z_]+' $(NATIVES) /dev/null | cut -d' ' -f3); \
	   for n in $$names; do echo "extern const Native $$n[];"; done; \
	   echo 'const Native *const native_tables[] = {'; \
	   for n in $$names; do echo "  $$n,"; done; echo '  0};'; \
	   made=$$(grep -hoE '^int make_natives_[a-z_]+' $(NATIVES) /dev/null | cut -d' ' -f2); \
	   for n in $$made; do echo "int $$n(Vm *vm);"; done; \
	   echo 'int (*const native_makers[])(Vm *vm) = {'; \
	   for n in $$made; do echo "  $$n,"; done; echo '  0};'; } > $@
$(B)/embed: lang/tools/embed.c
	@mkdir -p $(@D)
	$(Q)$(CC) -O1 -o $@ $<

# ---- what has to be installed ------------------------------------------------
# Debian's names.  The first list builds and runs qa, the second one its tests.
DEPS      := gcc libc6-dev make pkg-config re2c lemon libopenblas0-pthread liblapacke-dev libcjson-dev \
             libsqlite3-dev librandom123-dev libedit-dev zlib1g-dev libcurl4 \
             libmicrohttpd-dev gnuplot-nox libnlopt0
DEPS_TEST := g++ libcmocka-dev
deps:
	@bash .ci/deps $(DEPS) $(if $(filter test,$(MAKECMDGOALS)),$(DEPS_TEST)) $(MORE_DEPS)

JOBS ?= $(shell nproc 2>/dev/null || echo 2)
demo: deps
	@$(MAKE) --no-print-directory -j$(JOBS) all
	$(B)/qa run examples/qho/digits.qa --jobs $(JOBS) --threads 1

# ---- tests -------------------------------------------------------------------
# Unit tests are cmocka programs, one a file; tests/run says how the rest works.
FUZZERS := $(wildcard tests/fuzz/fuzz_*.c)
UNIT := $(patsubst %.c,$(B)/%,$(sort $(shell find tests -name 'test_*.c')))
tests: $(UNIT) $(if $(FUZZERS),$(B)/tests/fuzz/replay)
$(B)/tests/%: tests/%.c $(B)/libqa.a
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(CC) $(FLAGS) $(WARN) $(CFLAGS) -MMD -MP -o $@ $< $(B)/libqa.a -lcmocka -lutil $(LIBS)

test: deps
	@MAKE="$(MAKE)" JOBS=$(JOBS) bash tests/run

bench: all
	@for b in tests/bench/*.sh; do echo "== $$b"; QA=$(abspath $(B))/qa bash $$b || exit 1; done

# ---- fuzzing (clang's libFuzzer) ---------------------------------------------
# make fuzz TARGET=run SECONDS=180;  the corpus is replayed by `make test`.
TARGET  ?= run
SECONDS ?= 180
FUZZ_B  := build/fuzz
# clang 14 lacks CMPLX, and needs no code for several processors here.
FUZZ_FLAGS := -std=c11 -D_GNU_SOURCE -O1 -g -I. -Ilang -I$(B)/gen -fno-omit-frame-pointer \
              -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -w \
              -D'CMPLX(re,im)=__builtin_complex((double)(re),(double)(im))' -D'target_clones(...)=unused'
fuzz: $(FUZZ_B)/fuzz_$(TARGET)
	@mkdir -p $(FUZZ_B)/corpus-$(TARGET)
	$< -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 -max_len=4096 \
	  -dict=tests/fuzz/qa.dict -artifact_prefix=$(FUZZ_B)/ $(FUZZ_B)/corpus-$(TARGET) tests/fuzz/corpus
$(FUZZ_B)/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZ_B)/libqa.a
	$(call say,link)
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $< $(FUZZ_B)/libqa.a $(LIBS)
FUZZ_OBJ := $(SRC:%.c=$(FUZZ_B)/obj/%.o) $(GEN:$(B)/%.c=$(FUZZ_B)/%.o)
$(FUZZ_B)/libqa.a: $(FUZZ_OBJ)
	$(Q)rm -f $@; ar rcs $@ $(FUZZ_OBJ)
$(FUZZ_B)/obj/%.o: %.c | $(B)/gen/grammar.h
	@mkdir -p $(@D)
	$(call say,clang)
	$(Q)clang $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<
$(FUZZ_B)/gen/%.o: $(B)/gen/%.c
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_FLAGS) -c -o $@ $<
# Every target in one program that reads files: the corpus without clang.
$(B)/tests/fuzz/replay: tests/fuzz/replay.c $(FUZZERS) $(B)/libqa.a
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)for f in $(FUZZERS); do n=$$(basename $$f .c); \
	  $(CC) $(FLAGS) $(WARN) -Wno-missing-prototypes $(CFLAGS) -DLLVMFuzzerTestOneInput=$$n \
	    -c -o $(@D)/$$n.o $$f || exit 1; done
	$(Q){ for f in $(FUZZERS:tests/fuzz/%.c=%); do echo "FUZZ($$f)"; done; } > $(@D)/targets.h
	$(Q)$(CC) $(FLAGS) $(WARN) $(CFLAGS) -I$(@D) -o $@ $< $(FUZZERS:tests/fuzz/%.c=$(@D)/%.o) \
	  $(B)/libqa.a $(LIBS)

# ---- installing --------------------------------------------------------------
D := $(DESTDIR)$(PREFIX)
install: all
	install -d $(D)/bin $(D)/include $(D)/lib/pkgconfig $(D)/share/man/man1
	install -m 755 $(B)/qa $(D)/bin/qa
	install -m 644 lang/qa.h $(D)/include/qa.h
	install -m 644 $(B)/libqa.a $(D)/lib/libqa.a
	install -m 755 $(B)/libqa.so.$(VERSION) $(D)/lib/libqa.so.$(VERSION)
	ln -sf libqa.so.$(VERSION) $(D)/lib/$(SONAME)
	ln -sf $(SONAME) $(D)/lib/libqa.so
	$(B)/qa --man > $(D)/share/man/man1/qa.1
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' \
	  'Name: qa' 'Description: attention as physics: the qa language, embeddable' \
	  'Version: $(VERSION)' 'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -lqa' \
	  'Libs.private: $(LIBS)' > $(D)/lib/pkgconfig/qa.pc

clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
