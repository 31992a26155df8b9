package sim
import ("testing";"os";"strconv";"strings")
func TestZZ(t *testing.T){
 from,_:=strconv.ParseUint(os.Getenv("FROM"),10,64); n,_:=strconv.Atoi(os.Getenv("N")); calls,_:=strconv.Atoi(os.Getenv("CALLS"))
 kinds:=map[string][]uint64{}; total:=0; faults:=0
 for s:=from;s<from+uint64(n);s++{
  p:=Draw(s,calls)
  if os.Getenv("NOCRASH")!=""{p.Crash=0}
  if os.Getenv("NOPAUSE")!=""{p.Pause=0}
  var r Result; if n==1 {r=Run(p,Hooks{}); if r.Failure!=nil{t.Log(r.Failure)}} else {r=newWorld(p,Hooks{}).run()}; total+=r.Calls; faults+=r.Faults
  if r.Failure!=nil{ k:=string(r.Failure.Promise)+": "+r.Failure.What; if len(k)>110{k=k[:110]}
   k=strings.Map(func(c rune)rune{if c>='0'&&c<='9'{return -1};return c},k)
   kinds[k]=append(kinds[k],s)}
 }
 t.Logf("%d calls %d faults",total,faults)
 for k,v:=range kinds{ m:=v; if len(m)>6{m=m[:6]}; t.Logf("%4d %s %v",len(v),k,m)}
}
