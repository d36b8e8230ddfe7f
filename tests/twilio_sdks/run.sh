#!/usr/bin/env bash
# Runs the scenario of Twilio Verify with the official SDKs, unpatched, each against a local server of its own.
# Usage: run.sh PATH_OF_THE_LOCAL_SERVER DIRECTORY PYTHON, where the directory is for the SDKs and PYTHON has twilio and
# jsonschema. A language whose toolchain is missing is left out, and said so.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
server=$(realpath "$1") directory=$2 python=$3
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
# They would rewrite the host.
unset TWILIO_EDGE TWILIO_REGION

# Runs a command, with URL, account, service and key, against a new server. The key has letters and digits only after its
# prefix, as the SDK for Go asks for.
against_a_server() {
    local log=$directory/server key=otp_test_twilioScenario00000000 process url account service
    OTP_LOCAL_API_KEYS=default=$key "$server" --port 0 >"$log" 2>"$log.log" &
    process=$!
    trap 'kill "$process" 2>/dev/null || true' RETURN
    until grep -q '^twilio ' "$log"; do
        kill -0 "$process" 2>/dev/null || { cat "$log.log"; return 1; }
        sleep 0.2
    done
    url=$(sed -n 's/^listening on //p' "$log")
    read -r account service < <(sed -n 's/^twilio default //p' "$log")
    "$@" "$url" "$account" "$service" "${key#"$strip"}"
}

strip=
against_a_server "$python" "$here/scenario.py"

if command -v npm >/dev/null; then
    npm install --loglevel=error --fetch-retries=5 --no-audit --no-fund --prefix "$directory/node" twilio
    NODE_PATH=$directory/node/node_modules against_a_server node "$here/scenario.mjs"
else
    echo "Node: left out, no npm"
fi

if command -v mvn >/dev/null && command -v java >/dev/null; then
    mkdir -p "$directory/java"
    cat >"$directory/java/pom.xml" <<'POM'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>ci</groupId><artifactId>ci</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>com.twilio.sdk</groupId><artifactId>twilio</artifactId><version>[10,)</version></dependency>
  </dependencies>
</project>
POM
    mvn -q -B -f "$directory/java/pom.xml" dependency:copy-dependencies -DoutputDirectory="$directory/java/lib"
    against_a_server java -cp "$directory/java/lib/*" "$here/Scenario.java"
else
    echo "Java: left out, no Java/Maven"
fi

if command -v go >/dev/null; then
    mkdir -p "$directory/go"
    cp "$here/scenario.go" "$directory/go/main.go"
    (
        cd "$directory/go"
        [ -f go.mod ] || go mod init scenario 2>/dev/null
        go get -modcacherw github.com/twilio/twilio-go 2>/dev/null
        go mod tidy 2>/dev/null
        go build -o scenario .
    )
    strip=otp_test_
    against_a_server "$directory/go/scenario"
else
    echo "Go: left out, no Go"
fi
