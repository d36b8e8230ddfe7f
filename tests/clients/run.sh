#!/usr/bin/env bash
# Makes clients of the API document of a local server with common generators, and runs a login with each:
#   tests/clients/run.sh URL API_KEY DIRECTORY
# DIRECTORY is empty; tools and clients are installed there. What a missing toolchain needs is left out.
set -euo pipefail
[ $# -eq 3 ] || { echo "usage: tests/clients/run.sh URL API_KEY DIRECTORY" >&2; exit 2; }
url=$1 key=$2 directory=$3
logins=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$directory"
cd "$directory"
curl -sf "$url/openapi.json" -o openapi.json
curl -sf "$url/openapi.strict.json" -o openapi.strict.json

python3 -m venv tools
tools/bin/pip install -q openapi-python-client==0.29.1 openapi-generator-cli==7.26.0 pydantic python-dateutil urllib3 typing-extensions
npm_install() { npm install --loglevel=error --fetch-retries=5 --no-audit --no-fund --prefix . "$@"; }

printf '\n-- linters, without warnings\n'
npm_install @redocly/cli@2 @stoplight/spectral-cli@6
echo 'extends: ["spectral:oas"]' >spectral.yaml
for document in openapi.json openapi.strict.json; do
    node_modules/.bin/redocly lint "$document" --format=json >redocly.json 2>redocly-log || { cat redocly-log; exit 1; }
    python3 -c 'import json, sys; problems = json.load(open("redocly.json"))["problems"]; sys.exit("\n".join(p["message"] for p in problems) or 0)'
    node_modules/.bin/spectral lint --ruleset spectral.yaml --fail-severity hint "$document"
done

printf '\n-- openapi-python-client\n'
PATH="$PWD/tools/bin:$PATH" openapi-python-client generate --path openapi.json --meta none --output-path python/lambda_otp_client
PYTHONPATH=python tools/bin/python "$logins/login_openapi_python_client.py" "$url" "$key" +12025550151

printf '\n-- hey-api\n'
npm_install @hey-api/openapi-ts@0.95 typescript@5 esbuild@0.28 @types/node@20
node_modules/.bin/openapi-ts --input openapi.json --output client --client @hey-api/client-fetch --silent
cp "$logins/login_hey_api.ts" .
node_modules/.bin/tsc --noEmit --strict --skipLibCheck --target es2022 --module esnext --moduleResolution bundler login_hey_api.ts
node_modules/.bin/esbuild login_hey_api.ts --bundle --platform=node --format=esm --log-level=error --outfile=login_hey_api.mjs
node login_hey_api.mjs "$url" "$key" +12025550152

if command -v java >/dev/null; then
    printf '\n-- openapi-generator (python)\n'
    PATH="$PWD/tools/bin:$PATH" openapi-generator-cli generate -i openapi.json -g python -o generator --package-name lambda_otp >generator-log 2>&1 || { cat generator-log; exit 1; }
    PYTHONPATH=generator tools/bin/python "$logins/login_openapi_generator.py" "$url" "$key" +12025550153
else
    echo "openapi-generator: left out, no Java"
fi

if command -v go >/dev/null; then
    printf '\n-- oapi-codegen (Go)\n'
    mkdir -p go
    cp "$logins/login_oapi_codegen.go" go/login.go
    (
        cd go
        [ -f go.mod ] || go mod init login 2>/dev/null
        go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -generate types,client -package main -o client.go ../openapi.json
        go mod tidy 2>tidy-log || { cat tidy-log; exit 1; }
        go run . "$url" "$key" +12025550154
    )
else
    echo "oapi-codegen: left out, no Go"
fi
