# The demo: draw a dataset, train, evaluate, and predict on held-out drawings and on photographs.
set -eu

: "${DEMO:=demo}" "${ITERS:=300}"
rm -rf "$DEMO"

segcore data demo "$DEMO/optic-disc" --kind optic-disc --images 80 --size 256
segcore train PP-LiteSeg-T --data "$DEMO/optic-disc" --output "$DEMO/run" \
    -o train.iters="$ITERS" -o train.batch_size=4 -o train.crop_size='[192, 192]' \
    -o train.eval_interval=100
segcore eval "$DEMO/run" --data "$DEMO/optic-disc"

# the held-out drawings, and photographs that scikit-image carries: one really shows an optic disc
mkdir -p "$DEMO/held-out" "$DEMO/photographs"
while read -r image _; do cp "$DEMO/optic-disc/$image" "$DEMO/held-out/"; done < "$DEMO/optic-disc/val.txt"
photographs=$(python -c 'import os, skimage; print(os.path.join(os.path.dirname(skimage.__file__), "data"))')
for name in retina.jpg astronaut.png chelsea.png coffee.png; do cp "$photographs/$name" "$DEMO/photographs/"; done

segcore predict "$DEMO/run" "$DEMO/held-out" --output "$DEMO/predictions/held-out"
segcore predict "$DEMO/run" "$DEMO/photographs" --target-size 256 --output "$DEMO/predictions/photographs"

echo
echo "Look at $DEMO/predictions/held-out/*_overlay.jpg and $DEMO/predictions/photographs/*_overlay.jpg"
