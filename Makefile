# The two commands are `make train` and `make test`; both set the machine up first.
SHELL := /bin/bash
BUILD := swift build -c release
KEEL := .build/release/keel

# Drivers cache compiled kernels; a folder of our own keeps runs from disturbing each other.
export POCL_CACHE_DIR ?= $(CURDIR)/.build/pocl-cache

.PHONY: train test build setup lint format oclgrind bundle clean

train: build
	$(KEEL) train

build: setup
	@mkdir -p "$(POCL_CACHE_DIR)"
	$(BUILD) --product keel

test:
	@Scripts/setup.sh --tests
	Scripts/test.sh

setup:
	@Scripts/setup.sh

lint:
	swift format lint --strict --recursive Package.swift Sources Tests Benchmarks
	Scripts/check-kernels.sh

format:
	swift format format --in-place --recursive Package.swift Sources Tests Benchmarks

oclgrind: build
	@Scripts/setup.sh --tests
	Scripts/oclgrind.sh

bundle: setup
	Scripts/bundle.sh

clean:
	rm -rf .build bundle
