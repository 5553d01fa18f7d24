# The commands of the README. The building is CMake's; this says which presets, and
# installs what is missing before (see tools/setup.sh).

PREFIX ?= /usr/local
DESTDIR ?=
WERROR ?= OFF
JOBS ?= $(shell nproc)
# Most of a test is waiting, so more of them run at once than there are processors.
TESTERS ?= $(shell expr 2 \* $(JOBS))
JUNIT = $(CURDIR)/build/junit

.PHONY: build run test worlds check soak conformance install docs bench format clean help

build: ## the library, the command and the examples, in build/release
	@tools/setup.sh build
	cmake --preset release -DPIER_WERROR=$(WERROR) --log-level=NOTICE
	cmake --build --preset release -j $(JOBS)

run: ## watch the programs of the tutorials talk: a greeting, a web page (URL=http://... for one more)
	@tools/setup.sh build run
	@JOBS=$(JOBS) URL='$(URL)' tools/run.sh

test: ## the test suite, in threads and in tasks
	@tools/setup.sh build test
	cmake --preset dev --log-level=NOTICE
	cmake --build --preset dev -j $(JOBS)
	@mkdir -p $(JUNIT)
	ctest --preset dev -j $(TESTERS) --no-tests=error --output-junit $(JUNIT)/dev.xml

worlds: ## of it what runs in tasks, on epoll and on io_uring
	@tools/setup.sh build test
	cmake --preset dev --log-level=NOTICE
	cmake --build --preset dev -j $(JOBS)
	ctest --preset worlds -j $(TESTERS) --no-tests=error

check: ## everything else that a change must pass
	@tools/setup.sh build test run docs check python aarch64
	@JOBS=$(JOBS) tools/check.py

soak: ## the long form of the fault runs, until they end
	@tools/setup.sh build test check python
	@JOBS=$(JOBS) tools/check.py --soak

conformance: ## CPython's own test suites over pier, as root; writes docs/conformance.md
	@tools/setup.sh build python
	cmake --preset release -DPIER_PYTHON=ON --log-level=NOTICE
	cmake --build --preset release -j $(JOBS)
	tests/conformance/run.py --doc build/release/python/pypier

install: ## PREFIX=/usr/local, DESTDIR= for packagers
	@tools/setup.sh build
	cmake --preset release -DPIER_WERROR=$(WERROR) -DCMAKE_INSTALL_PREFIX='$(PREFIX)' --log-level=NOTICE
	cmake --build --preset release -j $(JOBS)
	DESTDIR='$(DESTDIR)' cmake --install build/release
	@if [ -z '$(DESTDIR)' ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

docs: ## the reference, in build/docs
	@tools/setup.sh docs
	@tools/docs.sh

bench: ## what pier costs, beside its peers; writes docs/performance.md (QUICK=1: sooner, roughly)
	@tools/setup.sh build bench
	@JOBS=$(JOBS) QUICK=$(QUICK) tools/bench.sh

format: ## clang-format over the tree
	@tools/setup.sh check
	tools/format.sh

clean: ## remove build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile
