package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Sizes of the tables that are made up, near those of the OULAD dataset.
const (
	assessments   = 200
	presentations = 20
	weeks         = 38
)

// writeTables makes up the tables that sync.yaml reads, with so many results (at most
// learners * assessments), each of another learner or assessment.
func writeTables(folder string, results int, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 23))
	courses, assessed, result := &table{}, &table{}, &table{}
	courses.create(folder, "course.csv", "code_module,code_presentation,module_presentation_length")
	for p := range presentations {
		courses.line("M%02d,%s,%d", p/2, presentation(p), 7*weeks)
	}
	assessed.create(folder, "assessment.csv", "code_module,code_presentation,id_assessment,assessment_type,date,weight")
	for a := range assessments {
		p := a % presentations
		assessed.line("M%02d,%s,%d,TMA,%d,%d", p/2, presentation(p), 1000+a, r.IntN(7*weeks), 10)
	}
	result.create(folder, "student_assessment.csv", "id_assessment,id_student,date_submitted,is_banked,score")
	each := results/assessments + 1 // a file like this is sorted by assessment
	for i := range results {
		a := i / each
		result.line("%d,%d,%d,%d,%d", 1000+a, 100000+(a*7919+i%each)%learners, r.IntN(7*weeks), r.IntN(50)/49, r.IntN(101))
	}
	return errors.Join(courses.close(), assessed.close(), result.close())
}

// presentation is a year and a month, B for February and J for October.
func presentation(p int) string { return fmt.Sprintf("%d%c", 2013+p/10, "BJ"[p%2]) }

// table is a CSV file being written.
type table struct {
	file *os.File
	*bufio.Writer
	err error
}

func (t *table) create(folder, name, heading string) {
	if t.file, t.err = os.Create(filepath.Join(folder, name)); t.err == nil {
		t.Writer = bufio.NewWriter(t.file)
		t.line("%s", heading)
	}
}

func (t *table) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.Writer, format+"\n", args...)
	}
}

func (t *table) close() error {
	if t.file == nil {
		return t.err
	}
	return errors.Join(t.err, t.Flush(), t.file.Close())
}
