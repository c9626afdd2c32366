"""What ``--help`` says about each tool."""

from typing import Final

POLICY: Final = """\
Tools for policy files. A policy says who may do what: rules from top to bottom, and
the first that fits a request decides it. None of them needs a running gate, keys or
secrets, so all of them are as good in a pipeline as on a desk.

  wicketgate policy check policy.yaml
  wicketgate policy test policy.yaml policy.tests.yaml
  wicketgate policy explain --policy policy.yaml --user --path /orgs/7
  wicketgate policy diff old.yaml new.yaml --log decisions.jsonl
"""

CHECK: Final = """\
Find every mistake in a policy file, and what is most likely not meant:

  unreachable    a rule that is never asked, as an earlier one takes all its requests
  shadowed       a rule of which some paths, hosts or methods go to an earlier one
  public-above   a rule whose requests are in part let in by an earlier one that lets
                 anybody in, although neither is an exception to the other

Lines are FILE:LINE:COLUMN: error|warning: what is wrong, as editors understand them.
Exit status: 0 no errors, 1 warnings with --strict, 2 errors.

  wicketgate policy check --strict policy.yaml
  git show HEAD:policy.yaml | wicketgate policy check -
"""

TEST: Final = """\
Judge the requests of tests, and compare. Tests stand below "tests:" in the policy
itself, or in files of their own:

  tests:
    - name: a user reads
      request: { path: /orgs/7 }
      as: user
      expect: { decision: allow, rule: orgs }

Exit status: 0 all as expected, 1 something was not or there is no test, 2 a file has
mistakes.

  wicketgate policy test policy.yaml policy.tests.yaml
"""

EXPLAIN: Final = """\
Say what becomes of one request, and why: which rules were asked, why they did not
fit, which one decided, and what the upstream would be told.

Nothing is verified. A token is read, its signature is not checked; claims, a user
and a service are taken as given. Without a file, the words beside the routes are the
policy (context_extensions).

  wicketgate policy explain --policy policy.yaml --path /orgs/7/items --user
  wicketgate policy explain --policy policy.yaml --method POST --path /jobs \\
      --context exposure=internal --service billing --scope jobs
  pbpaste | wicketgate policy explain --path /me --token -
"""

DIFF: Final = """\
Judge the requests of a decision log by two policies, and tell those on which they
disagree. The log holds what it takes with WICKETGATE_DECISION_DETAIL=replay.

Exit status: 0 they agree, 1 they do not, 2 a file has mistakes or the log holds nothing
that can be judged.

  wicketgate policy diff policy.yaml changed.yaml --log decisions.jsonl
  kubectl logs deploy/wicketgate | wicketgate policy diff old.yaml new.yaml --log -
"""

SCHEMA: Final = """\
Print the JSON Schema of policy files, for editors. In a policy file,

  # yaml-language-server: $schema=policy.schema.json

makes editors with the YAML language server complete its words.

  wicketgate policy schema > policy.schema.json
"""

JSON: Final = "one JSON object, for programs"
