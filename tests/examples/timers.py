"""Runs the commands of the units for systemd and of the Kubernetes CronJob, as these run them."""

import json
import re
import shlex
import shutil
import sys
from collections import defaultdict

import kubernetes_validate
import yaml
from support import AGENT, ERROR, EXAMPLES, NOTHING, WORK, Failed, install, outcome, read, run

UNITS = EXAMPLES / "systemd"


def unit(name):
    """A unit's settings: the values of each key, in their order."""
    settings = defaultdict(list)
    for line in (UNITS / name).read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            settings[key].append(value)
    return settings


def verify():
    """systemd's own check of the units, where it is installed."""
    if not shutil.which("systemd-analyze"):
        print("systemd-analyze is not installed, so it does not check the units", file=sys.stderr)
        return
    ended = run(["systemd-analyze", "verify", "--recursive-errors=no", *sorted(UNITS.iterdir())], {})
    # It also complains about other units of this machine.
    ours = [line for line in ended.stderr.splitlines() if any(file.name in line for file in UNITS.iterdir())]
    if ended.returncode != 0 or ours:
        raise Failed(f"systemd-analyze verify ended with {ended.returncode}: {ended.stderr}")


def environment(settings):
    """What `Environment=` sets."""
    return dict(word.split("=", 1) for value in settings["Environment"] for word in shlex.split(value))


def execute(line, settings, service, folder, state="running"):
    """Runs a command line as systemd does. It ends with 0 also if the unit counts its status as a success."""
    if re.search(r"(?<!\$)\$(?!\$)|%", line.replace("$$", "")):
        raise Failed(f"systemd replaces $ and %: {line}")
    path = install(folder, AGENT | {"systemctl": f"[ $1 = is-system-running ] && echo {state}"})
    words = shlex.split(line.replace("$$", "$").replace("/usr/local/bin/", f"{path}/"))
    ended = run(words, service | environment(settings) | {"PATH": f"{path}:/usr/bin:/bin"}, cwd=folder)
    if str(ended.returncode) in settings["SuccessExitStatus"]:
        ended.returncode = 0
    return ended


def systemd(service, folder):
    """Both commands of the service, one after the other."""
    verify()
    settings, timer = unit("agent.service"), unit("agent.timer")
    declared = json.loads(environment(settings)["DECLARE"])
    if timer["OnUnitActiveSec"] != [str(declared["intervalSeconds"])]:
        raise Failed(f"the timer has another period than {declared}: {timer['OnUnitActiveSec']}")
    if timer["Wants"] != ["agent-leave.service"] or unit("agent-leave.service")["PartOf"] != ["agent.timer"]:
        raise Failed("agent-leave.service does not start and stop with the timer")
    printed = complained = ""
    for line in settings["ExecStart"]:
        ended = execute(line, settings, service, folder)
        complained += ended.stderr
        if ended.returncode != 0:
            return ERROR, printed, complained
        printed += ended.stdout
    if (folder / "changes").read_text(encoding="utf-8"):
        raise Failed("the changes are kept after the agent has done its work")
    return WORK if printed else NOTHING, printed, complained


def manifest():
    """The CronJob, and its only container."""
    job = yaml.safe_load((EXAMPLES / "cronjob.yaml").read_text(encoding="utf-8"))
    [container] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return job, container


def cronjob(service, folder):
    """The container's command; its folder /tmp is the check's."""
    job, container = manifest()
    try:
        kubernetes_validate.validate(job, "1.37", strict=True)
    except kubernetes_validate.ValidationError as invalid:
        raise Failed(f"cronjob.yaml is invalid: {invalid.message}") from invalid
    secret = {"url": service["HEARTBEAT_URL"], "token": service["HEARTBEAT_TOKEN"]}
    variables = {
        variable["name"]: variable.get("value") or secret[variable["valueFrom"]["secretKeyRef"]["key"]]
        for variable in container["env"]
    }
    minutes = re.fullmatch(r"\*/(\d+) \* \* \* \*", job["spec"]["schedule"])[1]
    declared = json.loads(variables["DECLARE"])
    if declared["intervalSeconds"] != int(minutes) * 60:
        raise Failed(f"the schedule has another period than {declared}: {job['spec']['schedule']}")
    path = f"{install(folder, AGENT)}:/usr/bin:/bin"
    words = [word.replace("/tmp/", f"{folder}/") for word in [*container["command"], *container["args"]]]
    words[0] = container["command"][0]
    ended = run(words, variables | {"PATH": path})
    if ended.returncode != 0:
        return ERROR, ended.stdout, ended.stderr
    return WORK if ended.stdout else NOTHING, ended.stdout, ended.stderr


def expect_state(service, agent, expected):
    """Compares an agent's state, and that the service watches it with the declared interval."""
    found = read(service, f"agents/{agent}")
    interval = (found["watch"] or {}).get("intervalSeconds")
    if (found["state"], interval) != (expected, 900 if expected == "up" else None):
        raise Failed(f"{agent} should be {expected}, not {found['state']} with the interval {interval}")
    print(f"{expected:>8}  {agent}", file=sys.stderr)


def leave(service, folders):
    """Each is watched until its timer or its schedule is stopped."""
    settings = unit("agent-leave.service")
    [stop] = settings["ExecStop"]
    agent = environment(settings)["HEARTBEAT_AGENT"]
    if agent != environment(unit("agent.service"))["HEARTBEAT_AGENT"]:
        raise Failed(f"{agent} leaves, and another agent sends heartbeats")
    for state, expected in [("stopping", "up"), ("running", "left")]:
        ended = execute(stop, settings, service, folders[systemd], state)
        if ended.returncode != 0 or ended.stdout:
            raise Failed(f"{stop} ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
        expect_state(service, agent, expected)
    variables = {variable["name"]: variable.get("value") for variable in manifest()[1]["env"]}
    agent = variables["HEARTBEAT_AGENT"]
    expect_state(service, agent, "up")
    text = (EXAMPLES / "cronjob.yaml").read_text(encoding="utf-8")
    [line] = re.findall(r"^# .*suspend.* && (\./gate\.sh .+)$", text, re.MULTILINE)
    found, *said = outcome(run(["/bin/sh", "-c", line], service, cwd=install(folders[cronjob])))
    if found not in (WORK, NOTHING):
        raise Failed(f"{line} ended with {found}: {said}")
    expect_state(service, agent, "left")
