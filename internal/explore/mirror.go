package explore

import (
	"encoding/binary"
	"reflect"
	"slices"
	"sync"
	"unsafe"

	"github.com/ringfleet/ringfleet/invitation"
	"github.com/ringfleet/ringfleet/invitation/session"
)

// A machine is copied and hashed by reflection, its unexported fields included. So the machines need
// no code for the explorer, and no field that is added to one can be forgotten here: a state that
// differs in any field is another state.

var (
	timeType   = reflect.TypeFor[Time]()
	sharedType = map[reflect.Type]bool{ // never changed, the same for a whole world
		reflect.TypeFor[*invitation.Terms](): true,
		reflect.TypeFor[*session.Config]():   true,
	}
)

// A shift maps the times of a copy, by the name of the field that holds them; nil keeps them.
type shift func(field string, t Time) Time

// mirrored returns a deep copy of *src with its times shifted.
func mirrored[T any](src *T, by shift) *T {
	dst := new(T)
	mirror(reflect.ValueOf(dst).Elem(), reflect.ValueOf(src).Elem(), "", by)
	return dst
}

// open returns v without the mark that forbids to read and set unexported fields.
func open(v reflect.Value) reflect.Value {
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
}

// A layout is what has to be known of a type to copy and encode it fast.
type layout struct {
	flat     bool     // a copy shares nothing
	timeless bool     // it holds no time
	fields   []string // of a struct: their names
	deep     []int    // the fields that are not flat, or hold times
}

var layouts sync.Map // of reflect.Type

func layoutOf(t reflect.Type) *layout {
	if known, ok := layouts.Load(t); ok {
		return known.(*layout)
	}
	l := &layout{flat: true, timeless: t != timeType}
	with := func(t reflect.Type) {
		of := layoutOf(t)
		l.flat, l.timeless = l.flat && of.flat, l.timeless && of.timeless
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		l.flat, l.timeless = sharedType[t], sharedType[t]
	case reflect.Array:
		with(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			l.fields = append(l.fields, t.Field(i).Name)
			with(t.Field(i).Type)
			if of := layoutOf(t.Field(i).Type); !of.flat || !of.timeless {
				l.deep = append(l.deep, i)
			}
		}
	default:
	}
	layouts.Store(t, l)
	return l
}

func mirror(dst, src reflect.Value, field string, by shift) {
	if src.Type() == timeType && by != nil && src.Int() != 0 {
		dst.SetInt(int64(by(field, Time(src.Int()))))
		return
	}
	l := layoutOf(src.Type())
	if l.flat && (by == nil || l.timeless) {
		dst.Set(src)
		return
	}
	switch src.Kind() {
	case reflect.Pointer:
		if src.IsNil() || sharedType[src.Type()] {
			dst.Set(src)
			return
		}
		dst.Set(reflect.New(src.Type().Elem()))
		mirror(dst.Elem(), src.Elem(), field, by)
	case reflect.Struct:
		dst.Set(src)
		for _, i := range l.deep {
			mirror(open(dst.Field(i)), open(src.Field(i)), l.fields[i], by)
		}
	case reflect.Array:
		for i := range src.Len() {
			mirror(dst.Index(i), src.Index(i), field, by)
		}
	case reflect.Slice:
		if src.IsNil() {
			dst.SetZero()
			return
		}
		dst.Set(reflect.MakeSlice(src.Type(), src.Len(), src.Len()))
		for i := range src.Len() {
			mirror(dst.Index(i), src.Index(i), field, by)
		}
	case reflect.Map:
		if src.IsNil() {
			dst.SetZero()
			return
		}
		dst.Set(reflect.MakeMap(src.Type()))
		for it := src.MapRange(); it.Next(); {
			value := reflect.New(src.Type().Elem()).Elem()
			mirror(value, addressable(it.Value()), field, by)
			dst.SetMapIndex(it.Key(), value)
		}
	default:
		dst.Set(src)
	}
}

func addressable(v reflect.Value) reflect.Value {
	a := reflect.New(v.Type()).Elem()
	a.Set(v)
	return a
}

// encoded appends every field of *v to b, so that two values have the same bytes if and only if they
// are equal. Nil and empty slices and maps are the same.
func encoded[T any](b []byte, v *T) []byte { return encode(b, reflect.ValueOf(v).Elem()) }

func encode(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return binary.AppendVarint(b, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return binary.AppendUvarint(b, v.Uint())
	case reflect.Float64:
		return binary.AppendVarint(b, int64(v.Float()*1e6))
	case reflect.String:
		b = binary.AppendUvarint(b, uint64(v.Len()))
		return append(b, v.String()...)
	case reflect.Pointer:
		switch {
		case v.IsNil():
			return append(b, 0)
		case v.Type() == reflect.TypeFor[*session.Config]():
			return append(b, 1)
		case v.Type() == reflect.TypeFor[*invitation.Terms]():
			return append(b, (*invitation.Terms)(v.UnsafePointer()).ID[:4]...)
		}
		return encode(append(b, 1), v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			b = encode(b, v.Field(i))
		}
		return b
	case reflect.Array, reflect.Slice:
		b = binary.AppendUvarint(b, uint64(v.Len()))
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return append(b, v.Bytes()...)
		}
		for i := range v.Len() {
			b = encode(b, v.Index(i))
		}
		return b
	case reflect.Map:
		return encodeMap(b, open(v))
	}
	panic("explore: cannot encode a " + v.Type().String())
}

func encodeMap(b []byte, v reflect.Value) []byte {
	var entries []string
	for it := v.MapRange(); it.Next(); {
		e := encode(nil, addressable(it.Key()))
		entries = append(entries, string(encode(e, addressable(it.Value()))))
	}
	slices.Sort(entries)
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for _, e := range entries {
		b = append(b, e...)
	}
	return b
}
