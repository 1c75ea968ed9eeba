package mapping

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// orderedRanges makes comprehensions go through maps in one order: CEL's own maps, which expressions make, come in a
// random one, and then equal records would give different statements. It gives nothing where no map is gone through.
func orderedRanges(checked *cel.Ast) []cel.ProgramOption {
	native := checked.NativeRep()
	ranges := map[int64]bool{}
	ast.PostOrderVisit(native.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.ComprehensionKind {
			return
		}
		over := e.AsComprehension().IterRange()
		if kind := native.GetType(over.ID()).Kind(); kind != types.ListKind {
			ranges[over.ID()] = true
		}
	}))
	if len(ranges) == 0 {
		return nil
	}
	return []cel.ProgramOption{cel.CustomDecoratorV2(func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		if ranges[i.ID()] {
			return &orderedRange{i}, nil
		}
		return i, nil
	})}
}

type orderedRange struct{ interpreter.InterpretableV2 }

func (o *orderedRange) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return ordering(o.InterpretableV2.Exec(frame))
}

func (o *orderedRange) Eval(activation cel.Activation) ref.Val {
	return ordering(o.InterpretableV2.Eval(activation))
}

func ordering(v ref.Val) ref.Val {
	if m, ok := v.(traits.Mapper); ok {
		return inOrder(m)
	}
	return v
}
