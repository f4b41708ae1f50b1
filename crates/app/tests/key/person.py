# A person at a pseudo-terminal: waits for texts and types answers. argv: program, directory, answers, words, arguments.
import json, os, pty, re, select, sys, time
program, directory, answers, words = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4].split()
os.chdir(directory)
child, terminal = pty.fork()
if child == 0:
    os.dup2(os.open('stdout', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
    os.execv(program, [program] + sys.argv[5:])
shown, at, until = '', 0, time.monotonic() + 20
def more():
    global shown
    ready, _, _ = select.select([terminal], [], [], max(0, until - time.monotonic()))
    assert ready, 'nothing for a long time after ' + repr(shown)
    try: data = os.read(terminal, 65536)
    except OSError: return False
    shown += data.decode()
    return bool(data)
for wanted, typed in answers:
    while True:
        found = re.search(wanted, shown[at:])
        if found: break
        assert more(), 'ended before ' + wanted + ': ' + repr(shown)
    at += found.end()
    if typed == 'WORD': typed = words[int(found.group(1)) - 1]
    os.write(terminal, typed.encode() if typed.endswith('\x03') else typed.encode() + b'\n')
while more(): pass
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps({'shown': shown, 'stdout': open('stdout').read(), 'code': code}))
