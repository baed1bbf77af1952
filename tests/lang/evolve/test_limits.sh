# Long calls end soon after Ctrl-C; a memory limit is seen before anything is allocated.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; cat "$@"; fi; }
tfim='hamiltonian tfim(n) { -sum(Z[i] * Z[i+1] for i in 0..n-1) - sum(X[i] for i in 0..n) }'

refused() { # NAME CALL TEXT
  printf '%s\n%s\n' "$tfim" "$2" >limit.qa
  ! "$QA" run --memory 64MB limit.qa >out.txt 2>&1 && grep -qF "$3" out.txt
  ok $? "64 MB: $1" out.txt
}
refused "state" 'plus(23)' 'the state needs 0.125 GiB'
refused "many states" 'evolve(X[0], plus(1), linspace(0, 1, 1000000))' 'the evolution needs'
refused "levels" 'spectrum(tfim(20), 12)' 'the limit leaves'
refused "thermal" 'thermal(tfim(21), 1.0)' 'the limit leaves'

interrupted() { # NAME CALL
  printf '%s\nwrite_text("", "begun")\n%s\n' "$tfim" "$2" >long.qa
  "$QA" run long.qa >out.txt 2>&1 &
  local id=$! tries=0
  until [ -e begun ] || [ $tries -ge 100 ]; do sleep 0.05; tries=$((tries + 1)); done
  sleep 0.1
  rm -f begun
  kill -INT $id
  wait $id
  [ $? -eq 130 ]
  ok $? "interrupted: $1" out.txt
}
# a script in the background would ignore SIGINT without job control
set -m
interrupted "evolve" 'evolve(tfim(16), plus(16), 1e6)'
interrupted "random state" 'random_state(26)'
interrupted "whole spectrum" 'spectrum(tfim(12), 600)'
interrupted "evolve by Trotter" 'evolve(tfim(16), plus(16), 1e6, order = 4, steps = 100000000)'
interrupted "driven" 'evolve(t => cos(t) * Z[0] + X[0], plus(1), 1e6)'
interrupted "quench" 'quench(sum(Z[i] * Z[i+1] for i in 0..15), "standard", 100us)'
interrupted "chain" 'evolve(tfim(60), mps(60), 1e4, bond = 200)'
interrupted "memory" 'import memory
memory.learn(where(rand(32, 128) < 0.5, -1, 1), memory.flow(), steps = 100000000)'
