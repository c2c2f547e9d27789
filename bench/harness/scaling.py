"""Whether a request costs the same however much there is beside it: idle connections, accounts,
policy rules."""

from . import load
from .processes import Group
from .ratios import in_rounds, ratio
from .subjects import OURS
from .upstream import SMALL

ACTIVE = 64
IDLE = (1, 100, 1_000, 10_000)
ACCOUNTS = (1, 10, 100, 1_000)
RULES = (0, 10, 100, 1_000)


def measure(bench):
    """For each kind a list of rows: what there is, CPU per request, and its ratio to the first row."""
    return {
        "idle connections": idle(bench),
        "accounts": variants(bench, "accounts", ACCOUNTS, accounts),
        "policy rules": variants(bench, "policy rules", RULES, rules),
    }


def idle(bench):
    """64 active clients beside idle ones."""
    bench.say("scaling: idle connections")
    limits = f'server.max_connections = {IDLE[-1] * 2}\nserver.idle_timeout = "600s"\n'
    config = limits + account("default")
    with Group() as group:
        servers = {
            str(count): bench.start(group, OURS, config=config, label=f"idle-{count}") for count in IDLE
        }
        clients = [load.IdleClients(servers[str(count)], count) for count in IDLE]
        try:
            return in_turn(bench, servers, {name: SMALL for name in servers})
        finally:
            for held in clients:
                held.__exit__()


def variants(bench, kind, counts, configured):
    """One server for each count, with the configuration that `configured` makes of it."""
    bench.say(f"scaling: {kind}")
    with Group() as group:
        servers, targets = {}, {}
        for count in counts:
            config, prefix = configured(count)
            label = f"{kind.split()[0]}-{count}"
            servers[str(count)] = bench.start(group, OURS, config=config, label=label)
            targets[str(count)] = prefix + SMALL
        return in_turn(bench, servers, targets)


def in_turn(bench, servers, targets):
    seconds = bench.size.seconds
    for name, server in servers.items():
        load.full_speed(server, ACTIVE, 1, targets[name])

    def cpu(name):
        return load.full_speed(servers[name], ACTIVE, seconds, targets[name]).cpu_us

    found = in_rounds(bench.size.rounds, list(servers), cpu)
    first = found[next(iter(servers))]
    return [(name, values, ratio(values, first)) for name, values in found.items()]


def account(name):
    return f'[accounts.{name}]\ntype = "access_token"\ntoken = {{ env = "BENCH_TOKEN" }}\n'


def accounts(count):
    """The last one is asked for, by the name in the path."""
    return "".join(account(f"a{number}") for number in range(count)), f"/@a{count - 1}"


def rules(count):
    """None of them matches, so that all are looked at."""
    listed = ", ".join(f'"GET /crm/v3/objects/contacts/n{number}/**"' for number in range(count))
    return f"policy.deny = [{listed}]\n{account('default')}", ""
