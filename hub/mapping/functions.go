package mapping

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"
)

// omitted is the value of `omit`: whatever would hold it is left out.
type omitted struct{}

var omitType = types.NewOpaqueType("omit")

func (omitted) ConvertToNative(reflect.Type) (any, error) { return nil, &fault{kind: KindType} }
func (omitted) ConvertToType(ref.Type) ref.Val            { return types.WrapErr(&fault{kind: KindType}) }
func (omitted) Equal(other ref.Val) ref.Val               { _, same := other.(omitted); return types.Bool(same) }
func (omitted) Type() ref.Type                            { return omitType }
func (omitted) Value() any                                { return omitted{} }

// library is what the mapping language adds to CEL.
type library struct{}

func (*library) LibraryName() string { return "lrshub.mapping" }

// perByte is what a function costs that reads a text once: a tenth of a unit a byte, as CEL's own do.
func perByte(id string, factor float64) cost.OverloadModel {
	return cost.Overload(id,
		cost.EvalCost(cost.Sum(cost.Const(1), cost.Scale(cost.Arg(0), cost.StringTraversalCostFactor*factor))),
		cost.ResultSize(cost.AtMost(cost.Sum(cost.Scale(cost.Arg(0), factor), cost.Const(64)))))
}

func textFunction(name string, f func(string) ref.Val) cel.EnvOption {
	return cel.Function(name, cel.Overload(name+"_string", []*cel.Type{cel.StringType}, cel.StringType,
		cel.UnaryBinding(func(v ref.Val) ref.Val {
			text, ok := v.(types.String)
			if !ok {
				return types.WrapErr(&fault{kind: KindType})
			}
			return f(string(text))
		})))
}

func failed(kind Kind) ref.Val { return types.WrapErr(&fault{kind: kind}) }

func (*library) CompileOptions() []cel.EnvOption {
	return []cel.EnvOption{
		cel.OptionalTypes(), ext.Strings(), ext.Lists(), ext.Math(), ext.Bindings(), ext.TwoVarComprehensions(),
		cel.Constant("omit", cel.DynType, omitted{}),
		cel.Function("refuse",
			cel.Overload("refuse_reason", []*cel.Type{cel.StringType}, cel.DynType, cel.UnaryBinding(func(reason ref.Val) ref.Val {
				return refuse(reason, types.String(""))
			})),
			cel.Overload("refuse_reason_say", []*cel.Type{cel.StringType, cel.StringType}, cel.DynType, cel.BinaryBinding(refuse))),
		textFunction("plainText", func(s string) ref.Val { return types.String(plainText(s)) }),
		textFunction("slug", func(s string) ref.Val { return types.String(slug(s)) }),
		textFunction("slugAscii", func(s string) ref.Val { return types.String(slugASCII(s)) }),
		textFunction("stripTags", func(s string) ref.Val { return types.String(stripTags(s)) }),
		textFunction("uuidOfSha1", func(s string) ref.Val { return types.String(uuidOfSHA1(s)) }),
		textFunction("urlEncode", func(s string) ref.Val { return types.String(urlEncode(s)) }),
		textFunction("urlDecode", urlDecode),
		cel.Function("uuid5", cel.Overload("uuid5_string_string", []*cel.Type{cel.StringType, cel.StringType}, cel.StringType,
			cel.BinaryBinding(uuid5))),
		cel.Function("capture", cel.Overload("capture_string_string", []*cel.Type{cel.StringType, cel.StringType},
			cel.OptionalType(cel.StringType), cel.BinaryBinding(captureDynamic))),
		cel.Function("filled", cel.Overload("filled_optional", []*cel.Type{cel.OptionalType(cel.TypeParamType("T"))},
			cel.OptionalType(cel.TypeParamType("T")), cel.UnaryBinding(filled))),
		cel.Function("fromEpoch",
			cel.Overload("from_epoch_int", []*cel.Type{cel.IntType}, cel.TimestampType, cel.UnaryBinding(fromEpoch)),
			cel.Overload("from_epoch_double", []*cel.Type{cel.DoubleType}, cel.TimestampType, cel.UnaryBinding(fromEpoch))),
		cel.Function("date", cel.Overload("date_int_int_int", []*cel.Type{cel.IntType, cel.IntType, cel.IntType}, cel.TimestampType,
			cel.FunctionBinding(date))),
		cel.Function("addDays", cel.Overload("add_days_timestamp_int", []*cel.Type{cel.TimestampType, cel.IntType}, cel.TimestampType,
			cel.BinaryBinding(addDays))),
		cel.Function("isoDuration",
			cel.Overload("iso_duration_int", []*cel.Type{cel.IntType}, cel.StringType, cel.UnaryBinding(isoDuration)),
			cel.Overload("iso_duration_double", []*cel.Type{cel.DoubleType}, cel.StringType, cel.UnaryBinding(isoDuration)),
			cel.Overload("iso_duration_duration", []*cel.Type{cel.DurationType}, cel.StringType, cel.UnaryBinding(isoDuration))),
		cel.Function("jsonText",
			cel.Overload("json_text_dyn", []*cel.Type{cel.DynType}, cel.StringType, cel.UnaryBinding(func(v ref.Val) ref.Val {
				return jsonText(v, types.String(","), types.String(":"))
			})),
			cel.Overload("json_text_dyn_string_string", []*cel.Type{cel.DynType, cel.StringType, cel.StringType}, cel.StringType,
				cel.FunctionBinding(func(args ...ref.Val) ref.Val { return jsonText(args[0], args[1], args[2]) }))),
		cel.Function("parsePhp", cel.Overload("parsePhp_string", []*cel.Type{cel.StringType}, cel.DynType, cel.UnaryBinding(parsePHP))),
		cel.Function("rows",
			cel.Overload("rows_list_map", []*cel.Type{cel.ListType(cel.DynType), cel.MapType(cel.StringType, cel.DynType)},
				cel.ListType(cel.DynType), cel.BinaryBinding(rows)),
			cel.Overload("rows_optional_map", []*cel.Type{cel.OptionalType(cel.ListType(cel.DynType)),
				cel.MapType(cel.StringType, cel.DynType)}, cel.ListType(cel.DynType), cel.BinaryBinding(rows))),
		cel.Function("sum",
			cel.Overload("sum_list_int", []*cel.Type{cel.ListType(cel.IntType)}, cel.IntType, cel.UnaryBinding(func(v ref.Val) ref.Val {
				return sum(types.Int(0), v)
			})),
			cel.Overload("sum_list_double", []*cel.Type{cel.ListType(cel.DoubleType)}, cel.DoubleType, cel.UnaryBinding(func(v ref.Val) ref.Val {
				return sum(types.Double(0), v)
			}))),
		cel.Function("parseJson", cel.Overload("parse_json_string", []*cel.Type{cel.StringType}, cel.DynType,
			cel.UnaryBinding(parseJSON))),
		cel.CostModel(perByte("plainText_string", 2), perByte("slug_string", 1), perByte("uuidOfSha1_string", 1),
			perByte("slugAscii_string", 1), perByte("stripTags_string", 1), perByte("parsePhp_string", 4),
			cost.Overload("rows_list_map", cost.EvalCost(cost.Sum(cost.Const(1), cost.Scale(cost.Arg(0), 1))), cost.ResultSize(cost.AtMost(cost.Arg(0)))),
			cost.Overload("rows_optional_map", cost.EvalCost(cost.Sum(cost.Const(1), cost.Scale(cost.Arg(0), 1))), cost.ResultSize(cost.AtMost(cost.Arg(0)))),
			cost.Overload("sum_list_int", cost.EvalCost(cost.Sum(cost.Const(1), cost.Scale(cost.Arg(0), 1)))),
			cost.Overload("sum_list_double", cost.EvalCost(cost.Sum(cost.Const(1), cost.Scale(cost.Arg(0), 1)))),
			perByte("urlEncode_string", 3), perByte("urlDecode_string", 1), perByte("parse_json_string", 4),
			cost.Overload("uuid5_string_string", cost.EvalCost(cost.Sum(cost.Const(1), cost.Scale(cost.Arg(1), 0.1))),
				cost.ResultSize(cost.Const(36))),
			cost.Overload("capture_string_string", cost.EvalCost(cost.Sum(cost.Const(1),
				cost.Mul(cost.Scale(cost.Arg(0), 0.1), cost.Scale(cost.Arg(1), 0.25)))), cost.ResultSize(cost.AtMost(cost.Arg(0)))),
			cost.Overload("json_text_dyn", cost.EvalCost(cost.Sum(cost.Const(1), cost.Scale(cost.Result(), 0.2)))),
			cost.Overload("json_text_dyn_string_string", cost.EvalCost(cost.Sum(cost.Const(1), cost.Scale(cost.Result(), 0.2))))),
	}
}

func (*library) ProgramOptions() []cel.ProgramOption {
	return []cel.ProgramOption{
		cel.EvalOptions(cel.OptOptimize),
		cel.OptimizeRegex(&interpreter.RegexOptimization{Function: "capture", RegexIndex: 1, Factory: captureConstant}),
	}
}

// filled empties an optional that holds null or an empty text: many sources write those for "nothing".
func filled(v ref.Val) ref.Val {
	opt, ok := v.(*types.Optional)
	if !ok {
		return failed(KindType)
	}
	if !opt.HasValue() || absent(opt.GetValue()) || opt.GetValue() == types.String("") {
		return types.OptionalNone
	}
	return opt
}

func refuse(reason, say ref.Val) ref.Val {
	r, okReason := reason.(types.String)
	s, okSay := say.(types.String)
	if !okReason || !okSay {
		return failed(KindType)
	}
	return types.WrapErr(&fault{kind: KindRefused, reason: string(r), say: string(s)})
}

func captureConstant(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
		return capture(args[0], compiled)
	}), nil
}

func captureDynamic(text, pattern ref.Val) ref.Val {
	p, ok := pattern.(types.String)
	if !ok {
		return failed(KindType)
	}
	compiled, err := regexp.Compile(string(p))
	if err != nil {
		return failed(KindValue)
	}
	return capture(text, compiled)
}

// capture gives the first group of the first match (the whole match where the pattern has no group).
func capture(text ref.Val, pattern *regexp.Regexp) ref.Val {
	t, ok := text.(types.String)
	if !ok {
		return failed(KindType)
	}
	match := pattern.FindStringSubmatchIndex(string(t))
	if match == nil {
		return types.OptionalNone
	}
	if len(match) > 2 {
		match = match[2:]
	}
	if match[0] < 0 {
		return types.OptionalNone
	}
	return types.OptionalOf(t[match[0]:match[1]])
}

// Times that xAPI's RFC 3339 timestamps can say.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
)

func instant(t time.Time) ref.Val {
	if t.Before(earliest) || t.After(latest) {
		return failed(KindRange)
	}
	return types.Timestamp{Time: t.UTC()}
}

func fromEpoch(v ref.Val) ref.Val {
	switch n := v.(type) {
	case types.Int:
		if n < -1<<40 || n > 1<<40 {
			return failed(KindRange)
		}
		return instant(time.Unix(int64(n), 0))
	case types.Double:
		if !(math.Abs(float64(n)) < 1<<40) {
			return failed(KindRange)
		}
		// Microseconds are all that a float64 of today's seconds can tell apart.
		return instant(time.UnixMicro(int64(math.Round(float64(n) * 1e6))))
	}
	return failed(KindType)
}

func date(args ...ref.Val) ref.Val {
	var n [3]int64
	for i, arg := range args {
		v, ok := arg.(types.Int)
		if !ok {
			return failed(KindType)
		}
		n[i] = int64(v)
	}
	if n[0] < 1 || n[0] > 9999 || n[1] < 1 || n[1] > 12 || n[2] < 1 || n[2] > 31 {
		return failed(KindRange)
	}
	t := time.Date(int(n[0]), time.Month(n[1]), int(n[2]), 0, 0, 0, 0, time.UTC)
	if t.Day() != int(n[2]) {
		return failed(KindRange) // 31 February
	}
	return instant(t)
}

func addDays(at, days ref.Val) ref.Val {
	t, okTime := at.(types.Timestamp)
	n, okDays := days.(types.Int)
	if !okTime || !okDays {
		return failed(KindType)
	}
	if n < -4_000_000 || n > 4_000_000 {
		return failed(KindRange)
	}
	return instant(t.Time.UTC().AddDate(0, 0, int(n)))
}
