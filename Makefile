# What each target needs beyond Go is fetched by `make deps`, which every target that needs it runs.
GO      ?= go
BINARIES = bin/pipe bin/pipebench bin/devstack
GOFILES  = $(shell git ls-files -co --exclude-standard '*.go' 2>/dev/null || find . -name '*.go')

.PHONY: all build deps test quick demo bench fmt lint clean $(BINARIES)

all: build

# The binaries. Go's own cache knows what is up to date.
build: $(BINARIES)

$(BINARIES):
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $@ ./cmd/$(@F)

# Real servers and readers, from Debian's packages, only what is missing.
deps:
	@.ci/deps

# Everything, on real servers; a test that is skipped is a failure.
test: deps lint
	PIPE_TEST_FULL=1 $(GO) test -json -count=1 -timeout 25m ./... ./.ci/report | $(GO) run ./.ci/report

# Without Java, and what takes long.
quick: lint
	$(GO) test -json -short ./... | $(GO) run ./.ci/report

# From nothing to rows in Kafka and in a second PostgreSQL.
demo: deps build
	bin/devstack -- examples/demo.sh

# Takes long: see `bin/pipebench --help` for single measurements.
bench: deps build
	bin/pipebench all

fmt:
	gofmt -w $(GOFILES)

lint:
	@out=$$(gofmt -l $(GOFILES)); [ -z "$$out" ] || { echo "not formatted by gofmt (run make fmt):"; echo "$$out"; exit 1; }
	$(GO) vet ./... ./.ci/report

clean:
	rm -rf bin .tools
