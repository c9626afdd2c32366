#!/bin/sh
# Makes what deploy/compose.yaml wants to be kept secret, one file each, in deploy/compose/secrets.
# A file that is there already is left as it is, so this may be run again after an upgrade.
#
# A container reads such a file as a user of its own, so the files are open to all and the
# directory is open to nobody but you. Neither git nor the image takes anything from it.
set -eu
umask 022

directory="$(cd "$(dirname "$0")" && pwd)/secrets"
mkdir -p -m 700 "$directory"
chmod 700 "$directory"

# 32 bytes from the kernel, in hexadecimal: good in a URL, too.
random() {
    od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n'
}

# Usage: keep NAME VALUE
# Overwrites nothing, not even when it is run twice at the same time.
keep() {
    if (set -C && printf '%s\n' "$2" >"$directory/$1") 2>/dev/null; then
        echo "made $1"
    fi
}

keep postgres-password "$(random)"
keep database-migrate "postgresql://wicketgate:$(cat "$directory/postgres-password")@postgres:5432/wicketgate"
for login in gate webhooks sync operator; do
    keep "database-$login" "postgresql://$login:$(random)@postgres:5432/wicketgate"
done
keep service-auth-token "$(random)"
keep status-token "$(random)"
keep grafana-password "$(random)"

# Nobody knows this one, so no delivery is believed until Clerk's takes its place.
keep clerk-webhook-signing-secret "whsec_$(head -c 32 /dev/urandom | base64)"
# Read by `sync` alone, which says so while it is empty.
keep clerk-secret-key ""
