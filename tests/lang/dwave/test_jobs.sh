# qa jobs: job files are shown; nothing is asked without configuration.
export QA_JOBS=$PWD/jobs HOME=$PWD XDG_CONFIG_DIRS=$PWD
unset XDG_CONFIG_HOME DWAVE_API_TOKEN DWAVE_CONFIG_FILE
ok() { if [ "$2" = "$3" ]; then echo "ok $1"; else echo "not ok $1: $3"; fi; }
ok "no jobs" "" "$("$QA" jobs)"
mkdir jobs
printf '{"label":"first-1","id":"job-1","state":"PENDING","submitted":"2026-01-01T00:00:00Z","endpoint":"https://x.example/","type":"ising","solver":{"name":"S"}}' > jobs/first-1.json
printf 'damaged' > jobs/broken.json
ok "one job" "2026-01-01T00:00:00Z PENDING S first-1 job-1" "$("$QA" jobs | tr -s ' ')"
ok "as JSON" "job-1" "$("$QA" jobs --json | sed 's/.*"id": "\([^"]*\)".*/\1/')"
ok "no token" "qa: no D-Wave token is configured" "$("$QA" jobs job-1 2>&1 | head -1)"
ok "another endpoint" "qa: the job was sent to another endpoint than this profile's" \
  "$(DWAVE_API_TOKEN=t "$QA" jobs job-1 2>&1 | head -1)"
ok "unknown job" "qa: no job \"none\" is known here" "$("$QA" jobs none 2>&1 | head -1)"
