# Two commands: `make demo` opens the app on http://127.0.0.1:7860, `make test` runs every test.
# Both set up what they need the first time and start at once afterwards.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# More threads than this are slower on the small models here, and tests start processes of their own.
export OMP_NUM_THREADS ?= 2
export GRADIO_ANALYTICS_ENABLED ?= False
export PIP_DISABLE_PIP_VERSION_CHECK := 1

VALIDATOR := tests/gltf_validator/node_modules/installed

.PHONY: demo test clean debian-packages debian-packages-dev
.DELETE_ON_ERROR:

demo: debian-packages $(VENV)/installed
	$(BIN)/python app.py

# Two processes, each with whole files of tests and one thread; the long ones of the browser first, so that none is
# left alone at the end.
test: export OMP_NUM_THREADS := 1
test: debian-packages debian-packages-dev $(VENV)/installed-dev $(VALIDATOR)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

clean:
	rm -rf $(VENV) .pytest_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A stamp younger than the pins means that the environment holds them.
$(VENV)/installed: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --requirement $<
	touch $@

$(VENV)/installed-dev: requirements-dev.txt requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --requirement $<
	touch $(VENV)/installed $@

# Khronos' glTF-Validator, one npm package; its tests are skipped where it cannot be fetched.
$(VALIDATOR): tests/gltf_validator/package-lock.json $(VENV)/installed-dev
	PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix tests/gltf_validator --no-audit --no-fund --silent \
		&& touch $@ || echo "gltf-validator could not be fetched from npm; its tests are skipped"

# Debian packages that are missing: installed as root, else named. Other systems bring their own.
define install-packages
	@command -v dpkg-query >/dev/null || exit 0; \
	missing=; \
	for package in $$(cat $(1)); do \
		dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	else \
		echo "Missing Debian packages; if something does not start, run: sudo apt-get install -y$$missing"; \
	fi
endef

debian-packages:
	$(call install-packages,packages.txt)

debian-packages-dev:
	$(call install-packages,packages-dev.txt)
