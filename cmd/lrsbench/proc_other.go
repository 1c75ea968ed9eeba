//go:build !linux

package main

import (
	"errors"
	"time"
)

func ownCPU() time.Duration { return 0 }

func processCPU(int) time.Duration { return 0 }

func pss(int) (int64, error) { return 0, errors.ErrUnsupported }

func freeSpace(string) (int64, error) { return 0, errors.ErrUnsupported }
