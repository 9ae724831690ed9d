package wsspec

import "testing"

func TestReference_PassesTheSuite(t *testing.T) {
	t.Parallel()
	Run(t, startReference(t).target())
}

func TestReference_PassesWithoutCompression(t *testing.T) {
	t.Parallel()
	target := startReference(t, "no compression").target()
	target.Deflate = false
	for name, err := range Check(t.Context(), target, nil) {
		t.Errorf("%s: %v", name, err)
	}
}
