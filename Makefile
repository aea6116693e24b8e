# What a newcomer needs: `make demo` to see it work, `make test` before a change is done, `make check` in between.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test check interop fault slow test-postgres campaigns searcher fuzz schemas mutants world world-report pictures bench lock clean distclean dev packages

PYTEST := .venv/bin/python -m pytest

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

demo: ## a fresh instance with the sample estate, everything started
	@./keten demo

test: packages dev ## everything: Debian packages when it may, linters, types, contracts, all tests
	@sh tools/test.sh all

check: dev ## in under a minute: linters, types, contracts, unit and architecture tests
	@sh tools/test.sh quick

interop: packages dev ## only the tests against others' clients and verifiers
	@$(PYTEST) tests/interop

fault: dev ## only the tests that kill, fill, tear and delay, the long ones too
	@$(PYTEST) tests/fault -m 'slow or not slow'

slow: packages dev ## what `make test` leaves out because it takes minutes each
	@$(PYTEST) -n auto --dist loadfile --no-loadscope-reorder -m slow tests

test-postgres: packages dev ## what touches a database, on a PostgreSQL server of its own
	@KETEN_TESTS_ENGINE=postgres $(PYTEST) -n auto --dist loadfile --no-loadscope-reorder -m 'slow or not slow' tests/functional tests/fault \
		tests/unit/keeper tests/unit/ledger tests/unit/vault tests/unit/suppliers tests/unit/identity tests/unit/budgets

campaigns: dev ## fault campaigns, short to long: CAMPAIGN=power COUNT=200 SEED=7 MINUTES=60 RESUME=FILE JSON=1
	@.venv/bin/python -m tests.fault.campaigns $(or $(CAMPAIGN),all) --count $(or $(COUNT),0) --seed $(or $(SEED),1) \
		--minutes $(or $(MINUTES),60) $(if $(RESUME),--resume $(RESUME)) $(if $(JSON),--json)

searcher: dev ## what is left of erased people, for whoever has every file, backup and key: SUBJECTS=40 SEED=1
	@.venv/bin/python -m tests.fault.searcher.campaign --subjects $(or $(SUBJECTS),40) --seed $(or $(SEED),1)

fuzz: dev ## hostile bytes for every parser that faces outside, a minute each; `python -m tests.fuzz --help` for one
	@.venv/bin/python -m tests.fuzz all --seconds 60

schemas: dev ## requests made from the descriptions of /api and /v1, and what is answered: EXAMPLES=300 SEED=1
	@.venv/bin/python -m tests.schemas --examples $(or $(EXAMPLES),300) --seed $(or $(SEED),1)

mutants: dev ## would the tests notice broken rules? hours; `python -m tests.mutants --help` for one room or module
	@for room in budgets policy ledger; do .venv/bin/python -m tests.mutants $$room || exit 1; done

world: dev ## the watch in a made-up world: PRINCIPALS=10000 DAYS=180 SEED=1 FAMILIES=tuned DETECTORS=baselines JSON=1
	@.venv/bin/python -m tests.world --principals $(or $(PRINCIPALS),10000) --days $(or $(DAYS),180) --seed $(or $(SEED),1) \
		--families $(or $(FAMILIES),tuned) --detectors $(or $(DETECTORS),baselines) $(if $(JSON),--json)

world-report: dev ## docs/world-report.md anew: 1,000 made-up principals, 180 days, thefts that nobody tuned on; minutes
	@.venv/bin/python -m tests.world --principals 1000 --days 180 --seed 1000 --families held-out --prevalence 0.01 \
		--detectors all --report docs/world-report.md > /dev/null

pictures: packages dev ## pictures of every screen in both languages, for the manual, into docs/pictures
	@.venv/bin/python -m tests.browser.pictures docs/pictures

bench: packages dev ## measurements; prints a table
	@.venv/bin/python -m bench

lock: ## newest versions that fit pyproject.toml, pinned with hashes
	@sh tools/lock.sh

clean: ## remove caches
	@rm -rf .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache htmlcov build dist
	@find src tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## remove caches and the environment
	@rm -rf .venv .venv.lock

dev:
	@sh tools/environment.sh dev

packages:
	@sh tools/debian-packages.sh
