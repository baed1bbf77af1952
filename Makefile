# qa: make            builds build/qa, build/libqa.a, build/libqa.so
#     make demo       installs what is missing, builds, runs the main example
#     make test       builds and runs every test
#     make bench      prints our speed beside the peers'
#     make install    PREFIX=/usr/local DESTDIR=
# MODE=release (default) | asan | tsan | debug: each has its own folder.

MODE   ?= release
PREFIX ?= /usr/local
CC     ?= cc
B := build$(if $(filter-out release,$(MODE)),/$(MODE))

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter
OPT_release := -O2 -g
OPT_debug   := -O0 -g
OPT_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
OPT_tsan    := -O1 -g -fsanitize=thread
FLAGS  := -std=c11 -D_GNU_SOURCE $(OPT_$(MODE)) -fPIC -fvisibility=hidden -fopenmp-simd -pthread -I. -Ilang -I$(B)/gen
ifneq ($(MODE),tsan)
FLAGS  += -fopenmp
endif
CFLAGS ?=
LIBS   := -lopenblas -lz -lsqlite3 -lcjson -lm -ldl -pthread

# Everything below runtime/ and lang/ is compiled: a new file needs no entry here.
SRC  := $(sort $(shell find runtime lang -name '*.c' ! -path 'lang/tools/main.c' ! -path 'lang/tools/embed.c'))
GEN  := $(B)/gen/scan.c $(B)/gen/grammar.c $(B)/gen/stdlib.c $(B)/gen/tables.c
OBJ  := $(SRC:%.c=$(B)/obj/%.o) $(GEN:%.c=%.o)
STD  := $(sort $(shell find stdlib -type f))

.PHONY: all demo test bench install clean deps
all: $(B)/qa $(B)/libqa.a $(B)/libqa.so

$(B)/qa: $(B)/obj/lang/tools/main.o $(B)/libqa.a
	$(CC) $(FLAGS) $(CFLAGS) -o $@ $< $(B)/libqa.a -ledit $(LIBS)

$(B)/libqa.a: $(OBJ)
	rm -f $@; ar rcs $@ $(OBJ)

$(B)/libqa.so: $(OBJ)
	$(CC) $(FLAGS) $(CFLAGS) -shared -Wl,-soname,libqa.so.0 -o $@ $(OBJ) $(LIBS)

$(B)/obj/%.o: %.c | $(B)/gen/grammar.h
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARN) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/gen/%.o: $(B)/gen/%.c $(B)/gen/grammar.h
	$(CC) $(FLAGS) -Wall -Wno-unused $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/gen/scan.c: lang/syntax/scan.re $(B)/gen/grammar.h
	re2c -W -Werror -i --no-generation-date --case-ranges -o $@ $<

# lemon writes beside its input; -c keeps the tables uncompressed, which the
# "expected ..." lists need.
$(B)/gen/grammar.h: lang/syntax/grammar.y
	@mkdir -p $(@D)
	lemon -c -q -d$(@D) $<
	@touch $@
$(B)/gen/grammar.c: $(B)/gen/grammar.h ;

$(B)/gen/stdlib.c: $(B)/embed $(STD)
	$(B)/embed $(STD) > $@.tmp && mv $@.tmp $@
# Every `const Native natives_AREA[]` of lang/bind and lang/blocks is a table of
# library functions: an area is added by adding its file.
NATIVES := $(sort $(wildcard lang/bind/*.c lang/blocks/*.c))
$(B)/gen/tables.c: $(NATIVES) Makefile
	@mkdir -p $(@D)
	@{ echo '#include "lang/vm/vm.h"'; \
	   names=$$(grep -hoE '^const Native natives_[a-z_]+' $(NATIVES) /dev/null | cut -d' ' -f3); \
	   for n in $$names; do echo "extern const Native $$n[];"; done; \
	   echo 'const Native *const native_tables[] = {'; \
	   for n in $$names; do echo "  $$n,"; done; echo '  0};'; } > $@
$(B)/embed: lang/tools/embed.c
	@mkdir -p $(@D)
	$(CC) -O1 -o $@ $<

clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
