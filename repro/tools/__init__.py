"""The commands of tools/: `tools/NAME` runs `repro.tools.NAME`."""
