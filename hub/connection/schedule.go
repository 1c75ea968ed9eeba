package connection

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// minSchedule keeps a connection from doing nothing but starting.
const minSchedule = time.Minute

// parseSchedule reads "15m", "1h30m", "1d", "", "manual".
func parseSchedule(text string) (time.Duration, error) {
	if text == "" || text == "manual" {
		return 0, nil
	}
	days, rest := time.Duration(0), text
	if number, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > 366 {
			return 0, errors.New("must be an interval such as 15m, 6h or 1d")
		}
		days, rest = time.Duration(n)*24*time.Hour, after
	}
	interval := days
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return 0, errors.New("must be an interval such as 15m, 6h or 1d")
		}
		interval += d
	}
	if interval < minSchedule || interval > 366*24*time.Hour {
		return 0, fmt.Errorf("must be between %s and 366d", minSchedule)
	}
	return interval, nil
}

func formatSchedule(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
