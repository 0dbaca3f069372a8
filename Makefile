# The everyday commands.  CMake does the work (CMakePresets.json); this only spares
# typing.  `make help` lists the targets.

SETUP := scripts/setup

.DEFAULT_GOAL := all
.PHONY: all help setup test test-long demo bench asan tsan release lint format clean

all: setup  ## build everything; executables end up in build/bin/
	@cmake --preset dev && cmake --build --preset dev

help:  ## this list
	@sed -nE 's/^([a-z-]+):[^#]*##  ?(.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup:  ## install what is missing and build llama.cpp, once
	@$(SETUP)

test: all  ## build, and run all tests but the long ones
	@ctest --preset dev -LE 'long|soak'

test-long: all  ## all tests: half an hour and more
	@ctest --preset dev

demo: all  ## start a daemon, ask it a question, show its state, stop it
	@scripts/demo

bench: all  ## measure, side by side with others, and print the figures
	@$(SETUP) bench
	@bench/roundtrip
	@bench/operations
	@bench/fetch

asan: setup  ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@cmake --preset asan && cmake --build --preset asan && ctest --preset asan -LE 'long|soak|timing'

tsan: setup  ## the tests under ThreadSanitizer
	@cmake --preset tsan && cmake --build --preset tsan && ctest --preset tsan -LE 'long|soak|timing'

release: setup  ## what gets installed, in build-release/
	@cmake --preset release && cmake --build --preset release

lint:  ## formatting and static analysis
	@$(SETUP) lint
	@scripts/lint

format:  ## put all C sources into the house's shape
	@git ls-files '*.c' '*.h' '*.cpp' | xargs clang-format -i

clean:  ## remove what was built here; the llama.cpp cache stays
	rm -rf build build-*
