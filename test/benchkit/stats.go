package benchkit

import (
	"fmt"
	"math"
	"slices"
)

// Nothing is what a figure is that was not measured.
var Nothing = math.NaN()

// Quantile returns a quantile of values, by linear interpolation between neighbours.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return Nothing
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low == len(sorted)-1 {
		return sorted[low]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

// Median returns the quantile of a half.
func Median(values []float64) float64 { return Quantile(values, 0.5) }

// Figure writes a number with three digits that mean something; n/a if there is none.
func Figure(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "n/a"
	case math.Abs(v) >= 100 || math.Abs(v-math.Round(v)) < 0.001:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	case math.Abs(v) >= 0.01:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.4f", v)
	}
}
