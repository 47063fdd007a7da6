package spec

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

var (
	errNoUnit   = errors.New("no unit")
	errDuration = errors.New("not a duration")
	errSize     = errors.New("not a size")
)

// ParseDuration reads a duration with units: "500ms", "10s", "1h30m", and days, "7d" or "1d12h".
func ParseDuration(text string) (time.Duration, error) {
	if isNumber(text) {
		return 0, errNoUnit
	}
	var days time.Duration
	if n, rest, ok := strings.Cut(text, "d"); ok && isDigits(n) {
		count, err := strconv.ParseInt(n, 10, 64)
		if err != nil || count > math.MaxInt64/int64(24*time.Hour) {
			return 0, errDuration
		}
		days, text = time.Duration(count)*24*time.Hour, rest
		if text == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d+days < 0 {
		return 0, errDuration
	}
	return d + days, nil
}

// ParseBytes reads a size with a unit: B, KiB, MiB, GiB, TiB by 1,024 or kB, MB, GB, TB by 1,000.
func ParseBytes(text string) (Bytes, error) {
	if isNumber(text) {
		return 0, errNoUnit
	}
	digits := strings.TrimRight(text, "BKkMGTi ")
	unit := strings.TrimSpace(text[len(digits):])
	factor, ok := map[string]float64{
		"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
		"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	}[unit]
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !ok || n < 0 || n*factor >= math.MaxInt64 || n != n {
		return 0, errSize
	}
	return Bytes(n * factor), nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}
