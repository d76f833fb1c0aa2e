# sessionlen: build with PGXS.  `make demo` and `make check` do everything from a
# fresh clone; see README.md.

.DEFAULT_GOAL = all

# These targets need no PostgreSQL beforehand: their scripts install what is missing
# and build in a directory of their own.
SCRIPTED = check demo demo-skips demo-stop check-matrix check-clean format bench bench-peers

# Programs beside the extension, at the end of this file.
PROGRAMS = build/listening build/skips build/track_info
EXTVERSION = 1.0

ifeq ($(filter-out $(SCRIPTED) $(PROGRAMS),$(or $(MAKECMDGOALS),all)),)

check:
	@test/check.sh

demo demo-skips demo-stop:
	@doc/demo/demo.sh $@

bench:
	@bench/bench.sh

bench-peers:
	@bench/bench.sh peers

check-matrix check-clean:
	@test/matrix.sh $@

# What differs from the committed .clang-format; FIX=1 rewrites the files.
format:
	@clang-format $(if $(FIX),-i,--dry-run -Werror) $$(find src doc test/unit test/fuzz -name '*.[ch]')

.PHONY: $(SCRIPTED)

else

EXTENSION = sessionlen
MODULE_big = sessionlen

OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
SQL_PARTS = $(sort $(wildcard sql/[0-9][0-9]_*.sql))
DATA_built = sql/$(EXTENSION)--$(EXTVERSION).sql

# `make installcheck`: the regression tests on your own running server.
REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test

PG_CONFIG ?= pg_config
# The server's headers are not free of warnings under our flags, so they come in
# as system headers; BLAS is loaded at run time and not linked.
PG_CPPFLAGS = -Isrc -DSL_VERSION=\"$(EXTVERSION)\" -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS = -std=gnu11 -Wall -Wextra -Wno-declaration-after-statement -Wno-unused-parameter
SHLIB_LINK = -ldl -lm
EXTRA_CLEAN = build test/results

# Inlining of our functions into JIT-compiled expressions is not worth a clang
# dependency at build time.
override with_llvm = no

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Any header may matter to any file: rather compile too much than too little.
$(OBJS): $(wildcard src/*.h src/*/*.h)

$(DATA_built): $(SQL_PARTS)
	cat $^ > $@

# Pointwise kernels are loops the compiler vectorises; these flags let it do so, and
# keep it from fusing multiply and add where the code does not say so.
src/nn/kernel.o: override CFLAGS += -O3 -fno-math-errno -fno-trapping-math -ffp-contract=off
# Loops over flat arrays, vectorised as they are written.
src/nn/gradient.o src/nn/item_loss.o src/nn/item_rank.o src/nn/layer.o src/nn/loss.o src/nn/optim.o src/nn/packed.o src/nn/random.o src/cluster/tiles.o: override CFLAGS += -O3 -fno-math-errno

endif

# Invented listening logs for tests, benchmarks and the demo; see test/data/law.h.
build/listening: $(addprefix test/data/,listening.c listener.c law.c options.c listener.h law.h options.h draw.h) \
		src/nn/random.c src/nn/random.h
	mkdir -p build
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -Isrc -o $@ $(filter %.c,$^) -lm

# Invented sessions with skips, likewise; see test/data/skip_law.h.
build/skips: $(addprefix test/data/,skips.c skip_session.c skip_law.c options.c skip_session.h skip_law.h options.h draw.h) \
		src/nn/random.c src/nn/random.h
	mkdir -p build
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -Isrc -o $@ $(filter %.c,$^) -lm

# Asks a web API for what is known about tracks; needs libcurl and libpq.  See
# doc/examples/track_info/track_info.h.
build/track_info: $(wildcard doc/examples/track_info/*.[ch])
	mkdir -p build
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -DSL_VERSION=\"$(EXTVERSION)\" \
		-I$(shell $(or $(PG_CONFIG),pg_config) --includedir) -o $@ $(filter %.c,$^) -lpq -lcurl -lm
