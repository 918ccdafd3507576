"""Tokens that tell their issuer by their form: one row a format, with the list that published it.

Sources
    gitleaks     config/gitleaks.toml (MIT), commit b58d3f10 of 2026-07-22; the row's rule id follows
    trufflehog   pkg/detectors, commit 3ab759fe of 2026-08-21; the detector's name follows (the format; the pattern is ours)
    secrets      detect-secrets (Apache-2.0) plugins
    docs         the provider's own documentation of its format

Where lists disagree on a length the row takes the shortest to the longest. `\\b` begins each, so that part of a longer
word is not a token.
"""

from __future__ import annotations

from worker.data.redaction.judgement import is_dense, is_issued, is_issued_in_url, is_mixed, is_no_stand_in
from worker.data.redaction.rules import KEY, Check, Rule

_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"

# name, source, pattern
_FORMATS: tuple[tuple[str, str, str], ...] = (
    # clouds
    ("aws-access-key-id", "gitleaks aws-access-token", r"\b(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b"),
    (
        "aws-bedrock",
        "gitleaks aws-amazon-bedrock-api-key-long-lived",
        r"\bABSK[A-Za-z0-9+/]{109,}={0,2}"
        r"|\bbedrock-api-key-[A-Za-z0-9+/=]{24,}",
    ),
    ("google-api-key", "gitleaks gcp-api-key", r"\bAIza[\w-]{35}"),
    ("google-oauth-token", "trufflehog googleoauth2", r"\bya29\.[\w-]{20,}"),
    ("google-oauth-secret", "docs Google identity", r"\bGOCSPX-[\w-]{28}"),
    ("google-refresh-token", "docs Google identity", r"\b1//0[\w-]{40,}"),
    ("azure-ad-secret", "gitleaks azure-ad-client-secret", r"(?:^|[^\w.~-])([\w.~]{3}\dQ~[\w.~-]{31,34})(?:$|[^\w.~-])"),
    ("azure-storage-key", "trufflehog azure_storage", r"(?i)\bAccountKey=([a-z0-9+/]{86}==)"),
    ("azure-shared-access-key", "docs Azure Service Bus", r"(?i)\bSharedAccess(?:Key|Secret)[\w]{0,10}=([a-z0-9+/]{42,44}=)"),
    ("azure-sas", "docs Azure Storage SAS", r"[?&;]sig=([A-Za-z0-9%/+]{40,80}(?:%3[Dd]|=))"),
    ("alibaba", "gitleaks alibaba-access-key-id", r"\bLTAI[A-Za-z0-9]{12,26}\b"),
    ("tencent", "docs Tencent Cloud", r"\bAKID[A-Za-z0-9]{32}\b"),
    ("scaleway", "docs Scaleway", r"\bSCW[A-Z0-9]{17}\b"),
    ("digitalocean", "gitleaks digitalocean-pat", r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    ("heroku", "gitleaks heroku-api-key-v2", r"\bHRKU-(?:AA)?[\w-]{32,64}"),
    ("cloudflare", "trufflehog cloudflareapitoken", r"\bcf(?:[ua]t|k)_[A-Za-z0-9]{40}[a-f0-9]{8}\b"),
    ("cloudflare-origin", "gitleaks cloudflare-origin-ca-key", r"\bv1\.0-[a-f0-9]{24}-[a-f0-9]{146}\b"),
    ("fly", "gitleaks flyio-access-token", r"\bfo1_[\w-]{43}|\bfm(?:1[ar]|2)_[A-Za-z0-9+/]{100,}={0,3}"),
    ("netlify", "docs Netlify", r"\bnf[pcoub]_[A-Za-z0-9]{36}\b"),
    ("render", "docs Render", r"\brnd_[A-Za-z0-9]{28,36}\b"),
    ("supabase", "trufflehog supabasetoken", r"\bsb(?:p|_secret)_[A-Za-z0-9_]{31,48}\b"),
    ("planetscale", "gitleaks planetscale-password", r"\bpscale_(?:tkn|oauth|pw)_[\w=.-]{32,64}"),
    ("databricks", "gitleaks databricks-api-token", r"\bdapi[a-f0-9]{32}(?:-\d)?\b"),
    ("terraform", "gitleaks hashicorp-tf-api-token", r"\b[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,70}"),
    ("vault", "gitleaks vault-service-token", r"\bhv[sbr]\.[\w-]{24,}"),
    ("pulumi", "gitleaks pulumi-api-token", r"\bpul-[a-f0-9]{40}\b"),
    ("doppler", "gitleaks doppler-api-token", r"\bdp\.(?:ct|pt|st|sa|scim|audit)\.(?:[\w-]{2,35}\.)?[A-Za-z0-9]{40,44}\b"),
    ("prefect", "gitleaks prefect-api-token", r"\bpn[ub]_[A-Za-z0-9]{36}\b"),
    ("infracost", "gitleaks infracost-api-token", r"(?:^|[^\w.])(ico-[A-Za-z0-9]{32})\b"),
    (
        "yandex",
        "gitleaks yandex-api-key",
        r"\bAQVN[\w-]{35,38}|\bYC[A-Za-z0-9_-]{38}"
        r"|\bt1\.[\w-]+={0,2}\.[\w-]{86}={0,2}|\by[0-3]_[\w-]{50,60}",
    ),
    ("openshift", "gitleaks openshift-user-token", r"\bsha256~[\w-]{43}"),
    ("tailscale", "trufflehog tailscale", r"\btskey-[a-z]+-[0-9A-Za-z_]{8,}-[0-9A-Za-z_]{20,}"),
    ("clickhouse", "gitleaks clickhouse-cloud-api-secret-key", r"\b4b1d[A-Za-z0-9]{38}\b"),
    # source control, packages, continuous integration
    ("github", "gitleaks github-pat, -oauth, -app-token, -refresh-token", r"\bgh[pousr]_[A-Za-z0-9]{36,}\b"),
    ("github-fine-grained", "gitleaks github-fine-grained-pat", r"\bgithub_pat_\w{60,}\b"),
    (
        "gitlab",
        "gitleaks gitlab-*",
        r"\bgl(?:pat|dt|ft|rt|ptt|cbt|oas|agent|imt|soat|ffct)-[\w=.-]{20,}|\bGR1348941[\w-]{20}",
    ),
    ("bitbucket", "docs Bitbucket app passwords", r"\bATBB[A-Za-z0-9_=.-]{28,}|\bBBDC-[A-Za-z0-9+/@_-]{40,50}"),
    ("atlassian", "gitleaks atlassian-api-token", r"\bAT[AC]TT3[A-Za-z0-9_=-]{60,}"),
    ("npm", "gitleaks npm-access-token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("npm-legacy", "secrets npm", r"//[\w./-]+/:_auth(?:Token)?\s*=\s*\"?([A-Za-z0-9_=+/.-]{20,})"),
    ("pypi", "gitleaks pypi-upload-token", r"\bpypi-AgE[\w-]{50,}"),
    ("rubygems", "gitleaks rubygems-api-token", r"\brubygems_[a-f0-9]{48}\b"),
    ("crates", "docs crates.io", r"\bcio[A-Za-z0-9]{32}\b"),
    ("nuget", "docs NuGet", r"\boy2[a-z0-9]{43}\b"),
    ("clojars", "gitleaks clojars-api-token", r"\bCLOJARS_[a-z0-9]{60}\b"),
    ("docker", "trufflehog dockerhub", r"\bdckr_[po]at_[\w-]{27,32}"),
    ("artifactory", "gitleaks artifactory-api-key", r"\bAKCp[A-Za-z0-9]{10,73}\b|\bcmVmd[A-Za-z0-9]{59}\b"),
    ("circleci", "trufflehog circleci", r"\bCCI(?:PAT|PRJ)_[A-Za-z0-9]{22}_[a-fA-F0-9]{40}\b"),
    ("buildkite", "trufflehog buildkite", r"\bbkua_[a-z0-9]{40}\b"),
    ("octopus", "gitleaks octopus-deploy-api-key", r"\bAPI-[A-Z0-9]{25,26}\b"),
    ("sonar", "gitleaks sonar-api-token", r"\bsq[uap]_[a-f0-9]{40}\b"),
    ("sourcegraph", "gitleaks sourcegraph-access-token", r"\bsgp_(?:(?:[a-fA-F0-9]{16}|local)_)?[a-fA-F0-9]{40}\b"),
    ("harness", "gitleaks harness-api-key", r"\b[ps]at\.[\w-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}\b"),
    ("postman", "gitleaks postman-api-token", r"\bPMAK-[a-fA-F0-9]{24}-[a-fA-F0-9]{34}\b"),
    ("readme", "gitleaks readme-api-token", r"\brdme_[a-z0-9]{70}\b"),
    ("scalingo", "gitleaks scalingo-api-token", r"\btk-us-[\w-]{48}"),
    # models
    ("anthropic", "gitleaks anthropic-api-key", r"\bsk-ant-(?:api|admin|oat|sid)\d\d-[\w-]{40,}"),
    ("hugging-face", "gitleaks huggingface-access-token", r"\b(?:hf|api_org)_[A-Za-z0-9]{30,40}\b"),
    ("groq", "trufflehog groq", r"\bgsk_[A-Za-z0-9]{48,56}\b"),
    ("perplexity", "gitleaks perplexity-api-key", r"\bpplx-[A-Za-z0-9]{40,56}\b"),
    ("replicate", "trufflehog replicate", r"\br8_[\w-]{37}"),
    ("xai", "trufflehog xai", r"\bxai-\w{70,90}\b"),
    ("nvidia", "trufflehog nvapi", r"\bnvapi-[\w-]{60,70}"),
    ("langsmith", "trufflehog langsmith", r"\blsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}\b"),
    ("pinecone", "trufflehog pinecone", r"\bpcsk_[A-Za-z0-9]{5,6}_[A-Za-z0-9]{60,66}\b"),
    ("elevenlabs", "trufflehog elevenlabs", r"\bsk_[a-f0-9]{48}\b"),
    # messages
    ("slack", "gitleaks slack-*", r"\bxox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{16,}|\bxapp-\d-[A-Za-z0-9]+-\d+-[A-Za-z0-9]+"),
    ("slack-webhook", "gitleaks slack-webhook-url", r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/]{30,80})"),
    ("discord-bot", "secrets discord", r"\b[MNO][\w-]{23,28}\.[\w-]{6}\.[\w-]{27,38}"),
    ("discord-webhook", "trufflehog discordwebhook", r"discord(?:app)?\.com/api/webhooks/(\d{17,20}/[\w-]{60,70})"),
    ("telegram", "secrets telegram_token", r"\b\d{8,10}:A[A-Za-z0-9_-]{34}"),
    ("teams-webhook", "gitleaks microsoft-teams-webhook", rf"webhook\.office\.com/(webhookb2/{_UUID}@{_UUID}/[\w/-]{{40,}})"),
    ("zapier-webhook", "trufflehog zapierwebhook", r"hooks\.zapier\.com/hooks/catch/([A-Za-z0-9]+/[A-Za-z0-9]+)"),
    ("twilio", "gitleaks twilio-api-key; secrets twilio", r"\b(?:AC|SK)[0-9a-fA-F]{32}\b"),
    ("sendgrid", "gitleaks sendgrid-api-token", r"\bSG\.[\w-]{16,32}\.[\w-]{32,64}|\bSG\.[\w=.-]{66}"),
    ("sendinblue", "gitleaks sendinblue-api-token", r"\bxkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}\b"),
    ("mailgun", "gitleaks mailgun-private-api-token", r"\b(?:pub)?key-[a-f0-9]{32}\b|\b[a-f0-9]{32}-[a-f0-9]{8}-[a-f0-9]{8}\b"),
    ("mailchimp", "gitleaks mailchimp-api-key", r"\b[a-f0-9]{32}-us[0-9]{1,2}\b"),
    # money and shops
    ("stripe", "gitleaks stripe-access-token", r"\b[rsp]k_(?:live|test|prod)_[A-Za-z0-9]{10,}\b"),
    ("stripe-webhook", "docs Stripe", r"\bwhsec_[A-Za-z0-9+/=]{24,80}"),
    ("square", "gitleaks square-access-token", r"\bsq0[a-z]{3}-[\w-]{22,50}|\bEAAA[\w-]{56,60}\b"),
    ("braintree", "docs Braintree", r"\baccess_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}\b"),
    ("shopify", "gitleaks shopify-access-token", r"\bshp(?:at|ca|pa|ss|tka|ltm)_[\w-]{32,40}\b"),
    ("plaid", "gitleaks plaid-api-token", rf"\baccess-(?:sandbox|development|production)-{_UUID}\b"),
    ("razorpay", "trufflehog razorpay", r"\brzp_(?:live|test)_[A-Za-z0-9]{14}\b"),
    ("flutterwave", "gitleaks flutterwave-secret-key", r"\bFLW(?:SEC|PUB)K(?:_TEST)?-[a-z0-9]{12,32}(?:-X)?\b"),
    ("shippo", "gitleaks shippo-api-token", r"\bshippo_(?:live|test)_[a-fA-F0-9]{40}\b"),
    ("easypost", "gitleaks easypost-api-token", r"\bEZ[AT]K[A-Za-z0-9]{54}\b"),
    ("duffel", "gitleaks duffel-api-token", r"\bduffel_(?:test|live)_[\w=-]{43}"),
    ("lob", "gitleaks lob-api-key", r"\b(?:live|test)_(?:pub_)?[a-f0-9]{31,35}\b"),
    ("gocardless", "gitleaks gocardless-api-token", r"\blive_[\w=-]{40}\b"),
    # tools of teams
    ("launchdarkly", "trufflehog launchdarkly", rf"\b(?:api|sdk|mob)-{_UUID}\b"),
    ("firebase-messaging", "docs Firebase Cloud Messaging", r"\bAAAA[\w-]{7}:APA91b[\w-]{100,140}"),
    ("facebook", "gitleaks facebook-page-access-token", r"\bEAA[A-Z][A-Za-z0-9]{60,}\b|\bEAACEdEose0cBA[A-Za-z0-9]+"),
    ("facebook-app", "gitleaks facebook-access-token", r"\b\d{15,16}\|[\w-]{27,40}\b"),
    ("twitter-bearer", "gitleaks twitter-bearer-token", r"\bA{16,24}[A-Za-z0-9%]{60,}"),
    ("linear", "gitleaks linear-api-key", r"\blin_(?:api|oauth)_[A-Za-z0-9]{40,64}\b"),
    ("notion", "gitleaks notion-api-token; trufflehog notion", r"\bntn_[0-9]{11}[A-Za-z0-9]{35}\b|\bsecret_[A-Za-z0-9]{43}\b"),
    ("figma", "trufflehog figmapersonalaccesstoken", r"\bfig[dpour]_[\w=-]{40,54}"),
    ("airtable", "gitleaks airtable-personnal-access-token", r"\bpat[A-Za-z0-9]{14}\.[a-f0-9]{64}\b"),
    ("asana", "docs Asana", r"\b[12]/\d{13,17}(?:/\d{13,17})?:[a-f0-9]{32}\b"),
    ("contentful", "trufflehog contentfulpersonalacesstoken", r"\bCFPAT-[\w-]{43}"),
    ("typeform", "gitleaks typeform-api-token", r"\btfp_[\w.=-]{40,59}"),
    ("hubspot", "trufflehog hubspot_apikey", rf"\bpat-(?:eu|na)\d-{_UUID}\b"),
    ("dropbox", "gitleaks dropbox-short-lived-api-token", r"\bsl\.(?:u\.)?[\w=-]{130,}"),
    ("mapbox", "gitleaks mapbox-api-token", r"\b[ps]k\.[\w-]{55,}\.[\w-]{20,}"),
    ("adobe", "gitleaks adobe-client-secret", r"\bp8e-[A-Za-z0-9]{32}\b"),
    ("frame-io", "gitleaks frameio-api-token", r"\bfio-u-[\w=-]{64}"),
    ("maxmind", "gitleaks maxmind-license-key", r"\b[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk\b"),
    ("adafruit", "trufflehog adafruitio", r"\baio_[A-Za-z0-9]{28}\b"),
    ("apify", "trufflehog apify", r"\bapify_api_[A-Za-z0-9-]{36}\b"),
    ("posthog", "trufflehog posthog", r"\bph[cx]_[A-Za-z0-9_]{43,48}\b"),
    # watching
    ("new-relic", "gitleaks new-relic-*", r"\bNR(?:AK|JS|II|IQ|BR|RA)-[A-Za-z0-9_-]{19,40}|\b[a-f0-9]{32}FFFFNRAL\b"),
    ("datadog", "trufflehog datadogtoken", r"\bdd[pw]_[A-Za-z0-9]{36}\b"),
    ("sentry", "gitleaks sentry-*", r"\bsntry[us]_[A-Za-z0-9+/=_]{40,}"),
    ("sentry-dsn", "docs Sentry", r"https?://([0-9a-f]{32}(?::[0-9a-f]{32})?)@[\w.-]*(?:sentry|ingest)[\w.-]*/\d+"),
    ("grafana", "gitleaks grafana-*", r"\bgl(?:c|sa)_[A-Za-z0-9+/=_]{32,}|\beyJrIjoi[A-Za-z0-9]{50,}={0,3}"),
    ("dynatrace", "gitleaks dynatrace-api-token", r"\bdt0[a-z]\d\d\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{64}\b"),
    ("rootly", "trufflehog rootly", r"\brootly_[a-f0-9]{64}\b"),
    # identity
    ("1password", "gitleaks 1password-*", r"\bops_eyJ[A-Za-z0-9+/]{200,}={0,3}|\bA3-[A-Z0-9]{6}(?:-[A-Z0-9]{5,11}){4,5}\b"),
    ("age", "gitleaks age-secret-key", r"\bAGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}\b"),
    ("intra42", "gitleaks intra42-client-secret", r"\b[su]-s4t2(?:ud|af)-[a-f0-9]{64}\b"),
    ("settlemint", "gitleaks settlemint-*", r"\bsm_[aps]at_[A-Za-z0-9]{16}\b"),
    ("zoho", "trufflehog zohocrm", r"\b1000\.[a-f0-9]{32}\.[a-f0-9]{32}\b"),
    ("salesforce", "trufflehog salesforce", r"\b3MVG9[\w.+/=]{80,}|\b00[A-Za-z0-9]{13}![\w.]{80,}"),
    (
        "web-token",
        "gitleaks jwt; RFC 7519",
        r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]+\.[\w-]+)?"
        r"|\bey[A-Za-z0-9]{17,}\.ey[\w/+\\-]{17,}\.[\w/+\\=-]*",
    ),
    ("openai", "gitleaks openai-api-key; trufflehog openai", r"\bsk-(?:proj-|svcacct-|service-|admin-|or-v1-)?[\w-]{20,}"),
    ("okta", "gitleaks okta-access-token", r"(?i)okta[\w.\- ]{0,20}[\"']?\s*(?:=>|[:=,])\s*[\"']?(00[a-z0-9_-]{40})\b"),
    ("vault-legacy", "gitleaks vault-service-token", r"\bs\.[A-Za-z0-9]{24}\b"),
)  # fmt: skip

_CHECKS: dict[str, Check] = {
    # Their letters are of one case, or they are letters only: one in thirty comes without a digit.
    **dict.fromkeys(("age", "aws-access-key-id", "google-oauth-secret", "hugging-face", "new-relic"), is_no_stand_in),
    **dict.fromkeys(("octopus", "scaleway", "web-token"), is_no_stand_in),
    **dict.fromkeys(("discord-webhook", "slack-webhook", "teams-webhook", "zapier-webhook"), is_issued_in_url),
    # Forms that words have as well: `sk-learn-is-a-library`, `s.ReadUint16LengthPrefixed`.
    "openai": is_dense,
    "okta": is_dense,
    "vault-legacy": is_mixed,
}
# Formats that begin with a class of characters cost a scan half its speed; these parts of them are rare enough.
_CLUES = {
    "discord-bot": r"\.[\w-]{6}\.[\w-]{27}",
    "mailgun": r"key-[a-f0-9]{32}|[a-f0-9]-[a-f0-9]{8}-[a-f0-9]{8}\b",
    "mailchimp": r"[a-f0-9]{8}-us[0-9]",
    "terraform": r"\.atlasv1\.",
    "airtable": r"\bpat[A-Za-z0-9]{14}\.[a-f0-9]{8}",
    "azure-ad-secret": r"\dQ~",
    "maxmind": r"_mmk\b",
    "facebook-app": r"\d{8}\|[\w-]{27}",
}
PROVIDERS: tuple[Rule, ...] = tuple(
    Rule(name, KEY, source, pattern, _CHECKS.get(name, is_issued), _CLUES.get(name, ""))
    for name, source, pattern in _FORMATS
)
