#!/usr/bin/env bash
# The command: exit codes, streams, options, suggestions.
set -u
# run CODE ARGS...: runs qa, keeps out and err, compares the exit code
run() {
  local want=$1 got
  shift
  "$QA" "$@" >out 2>err </dev/null
  got=$?
  what="qa $*"
  [ $got -eq "$want" ] && return 0
  echo "not ok $what: exit $got, expected $want"
  head -n 5 err
  return 1
}
has() { grep -qF -- "$2" "$1"; }
yes() { if [ "$1" -eq 0 ]; then echo "ok $what${2:+: $2}"; else echo "not ok $what${2:+: $2}"; head -n 8 out err; fi; }
out_is() { [ "$(cat out)" = "$1" ]; yes $? "prints $1"; }
err_has() { has err "$1"; yes $? "says $1"; }

run 0 -e '1 + 1' && out_is 2
run 0 -e 'let a = 3; a * 14' && out_is 42
run 0 -e 'nil' && out_is ''
run 0 -e '"text"' && out_is '"text"'
run 0 --eval='2^10' && out_is 1024
run 3 -e '1 +' && err_has '<-e>:1'
run 1 -e 'error("no good")' && err_has 'no good'
run 2 -e
run 2 -e 1 + 1 && err_has 'quotes'

printf 'print("hello")\n' >hello.qa
run 0 run hello.qa && out_is hello
run 0 hello.qa && out_is hello
[ ! -s err ]; yes $? "nothing on stderr"
run 2 run nothing.qa && err_has nothing.qa
run 2 nothing.qa && err_has nothing.qa
run 2 run && err_has 'which file'
run 2 chek hello.qa && err_has 'did you mean `qa check`'
run 2 run --sed 3 hello.qa && err_has 'did you mean --seed'
run 2 run --seed x hello.qa && err_has 'integer'
run 2 run --seed && err_has '--seed needs N'
run 2 run --fresh=1 hello.qa && err_has 'takes no value'
run 2 run --threads 0 hello.qa && err_has '--threads'
run 2 --color sometimes hello.qa && err_has 'auto, always or never'
run 2 run hello.qa extra && err_has 'name=value'

printf 'input size = 3\ninput name = "x"\nprint(size * 2, name)\n' >input.qa
run 0 run input.qa && out_is '6 x'
run 0 run input.qa size=21 name=y && out_is '42 y'
run 2 run input.qa sise=4 && err_has 'did you mean size=4'
run 2 run hello.qa size=4 && err_has 'no input `size`'
run 1 run input.qa size=many

printf 'print(sum(randn(3)))\n' >random.qa
run 0 run random.qa --seed 1 && cp out one
run 0 run --seed 1 random.qa && cmp -s one out; yes $? 'same seed, same numbers'
run 0 --seed 2 random.qa && ! cmp -s one out; yes $? 'another seed, other numbers'
run 0 run random.qa --seed=1 --threads 2 && cmp -s one out; yes $? 'threads do not matter'

printf 'let a = 1\nprint(aa)\nlet b = (\n' >bad.qa
run 3 check bad.qa && err_has 'bad.qa:'
run 0 check hello.qa input.qa && out_is ''
run 3 check hello.qa bad.qa
run 2 check missing.qa
run 3 check --json bad.qa
if command -v python3 >/dev/null; then
  python3 -c 'import json,sys
for line in open("err"): assert "message" in json.loads(line)'
  yes $? 'one JSON object a line'
fi
printf 'fn f(x) {\n  x + 1\n}\nf([1, 2])\nf("text")\n' >fails.qa
run 1 run fails.qa && err_has 'fails.qa:2:' && err_has 'fails.qa:5:'
printf 'print("first")\nerror("then")\n' >order.qa
"$QA" order.qa >both 2>&1
[ "$(head -n 1 both)" = first ]; what='qa order.qa'; yes $? 'output comes before the error'

NO_COLOR= TERM=xterm "$QA" run fails.qa --color always 2>err >out; what='--color always'
grep -q $'\033' err; yes $?
NO_COLOR=1 TERM=xterm "$QA" run fails.qa 2>err >out; what='NO_COLOR'
! grep -q $'\033' err; yes $?

what='script from stdin'
[ "$(printf 'print(5 * 5)\n' | "$QA")" = 25 ]; yes $?
[ "$(printf 'print(5 * 5)\n' | "$QA" run -)" = 25 ]; yes $? 'run -'
what='a full disk'
if [ -e /dev/full ]; then "$QA" -e 1 >/dev/full 2>err; [ $? -eq 1 ] && has err 'cannot write'; yes $?; fi

printf 'fn test_good() { assert(1 + 1 == 2) }\nfn test_bad() { assert(1 == 2, "no") }\n' >t.qa
run 1 test t.qa && has out '1 passed, 1 failed'; yes $?
mkdir -p dir/deep && printf 'fn test_a() = assert(true)\n' >dir/deep/a.qa && printf 'assert(true)\n' >dir/b.qa
run 0 test dir && has out '2 passed, 0 failed'; yes $?
run 2 test empty-dir-that-is-not
run 0 doc sqrt && has out 'sqrt('; yes $?
run 2 doc sqrtt && err_has 'did you mean `sqrt`'
run 0 doc nn.linear && has out 'linear('; yes $?
run 0 --help && has out 'verbs:'; yes $?
run 0 run --help && has out '--jobs N'; yes $?
run 0 help check && has out 'qa check'; yes $?
run 0 --version && has out 'qa 0.1.0' && has out 'kernels '; yes $?
for v in run check explain test doc runs; do "$QA" --man | grep -q "^\.B $v "; what="man page"; yes $? "has $v"; done
"$QA" --completion bash >c.bash && bash -n c.bash; what='completion'; yes $? bash
printf 'attention mine { score = dot(q, k) }\nfn f(x) = x + 1\n' >x.qa
run 0 explain x.qa && has out 'mine' && has out 'f:'; yes $?
