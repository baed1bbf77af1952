#!/usr/bin/env bash
# Every promised name is there and documented, and LANGUAGE.md mentions every name there is.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT

promised=(
  # mathematics
  sqrt exp log log2 log1p sin cos tan asin acos atan atan2 sinh cosh tanh erf gamma_ln abs sign floor
  ceil round clip relu gelu sigmoid softplus logsumexp real imag conj arg pi inf nan min max sum prod mean
  # tensors
  zeros ones full eye arange linspace rand randn randint permutation shape len rank dtype reshape
  transpose concat stack split tile where gather scatter_add sort argsort argmax argmin cumsum std
  variance norm median quantile histogram unique any all astype f32 f64 dot
  # linear algebra
  solve inv det trace eig eigh svd qr cholesky lstsq expm logm outer kron
  # data, files
  digits mnist fashion_mnist cifar10 shakespeare read_csv read_text read_npy write_npy load save
  read_json write_json
  # the rest
  print str int float map filter zip enumerate range keys values append time isnan isfinite table plot
  noisy vit glorot help explain grad value_and_grad fit accuracy error assert
  # attention
  attend weights energies fixed softmax causal window alibi lorentz sigmoid_attention qho qho_thermal
  # models and training
  vjp jvp hvp detach params
  nn.linear nn.layer_norm nn.embedding nn.mlp nn.mha nn.block nn.adam nn.adamw nn.sgd nn.glorot
)
# documented TEXT: a signature, and below it at least one line that says something
documented() { [ "$(sed -n '2,$p' <<<"$1" | tr -cd '[:alnum:]' | wc -c)" -ge 8 ]; }

for name in "${promised[@]}"; do
  if ! text=$("$QA" doc "$name" 2>&1); then echo "not ok $name: missing"
  elif ! documented "$text"; then echo "not ok $name: no documentation"
  else echo "ok $name"; fi
done

# What is there: the names without an import, and those of each module.
"$QA" doc | sed -n '3,$p' | tr -s ' ' '\n' | grep . >names
for file in "$ROOT"/stdlib/*.qa; do
  module=$(basename "$file" .qa)
  sed -nE 's/^(fn|model|attention|let) ([a-zA-Z][A-Za-z0-9_]*).*/\2/p' "$file" | sed "s/^/$module./" >>names
done
[ "$(wc -l <names)" -gt 150 ] || echo "not ok qa doc lists only $(wc -l <names) names"
sed '/^```/,/^```/d' "$ROOT/lang/LANGUAGE.md" | tr '\n' ' ' | grep -oE '`[^`]*`' | grep -oE '[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?' | sort -u >mentioned
undocumented="" unmentioned=""
while read -r name; do
  documented "$("$QA" doc "$name" 2>&1)" || undocumented+=" $name"
  grep -qxF -e "$name" -e "${name#*.}" mentioned || unmentioned+=" $name"
done <names
if [ -z "$undocumented" ]; then echo "ok every name is documented"
else echo "not ok without documentation:$undocumented"; fi
if [ -z "$unmentioned" ]; then echo "ok LANGUAGE.md mentions every name"
else echo "not ok not in LANGUAGE.md:$unmentioned"; fi
