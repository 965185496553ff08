# The demo: draw a dataset, train, evaluate, and predict on held-out drawings and on photographs.
set -eu

: "${DEMO:=demo}"
rm -rf "$DEMO"

segcore data demo "$DEMO/optic-disc" --kind optic-disc --images 80 --size 256
segcore train PP-LiteSeg-T --data "$DEMO/optic-disc" --output "$DEMO/run" -c docs/demo.yaml
segcore eval "$DEMO/run" --data "$DEMO/optic-disc"

# the held-out drawings, and photographs that scikit-image carries: one really shows an optic disc
mkdir -p "$DEMO/held-out" "$DEMO/photographs"
while read -r image _; do
    cp "$DEMO/optic-disc/$image" "$DEMO/held-out/"
done < "$DEMO/optic-disc/val.txt"
photographs=$(python -c 'import os, skimage; print(os.path.join(os.path.dirname(skimage.__file__), "data"))')
for name in retina.jpg chelsea.png coffee.png; do
    cp "$photographs/$name" "$DEMO/photographs/"
done

segcore predict "$DEMO/run" "$DEMO/held-out" --output "$DEMO/predictions/held-out"
segcore predict "$DEMO/run" "$DEMO/photographs" --target-size 256 \
    --output "$DEMO/predictions/photographs"

echo
echo "Look at the overlays:"
echo "  $DEMO/predictions/held-out/*_overlay.jpg"
echo "  $DEMO/predictions/photographs/*_overlay.jpg (retina_overlay.jpg is a real eye)"
