import Testing

/// Options that cannot be used: one sentence, exit 2, nothing written.
@Suite struct UsageTests {
  static let refused: [([String], String)] = [
    (["--batch", "0"], "--batch must be at least 1, got 0"),
    (["--batch", "-3"], "--batch must be at least 1, got -3"),
    (["--batch", "1.5"], "'1.5' is invalid for '--batch"),
    (["--batch", "9223372036854775807"], "batch size: requires at most"),
    (["--epochs", "0"], "--epochs must be at least 1"),
    (["--epochs", "-1"], "--epochs must be at least 1"),
    (["--epochs", "nan"], "'nan' is invalid for '--epochs"),
    (["--epochs", "9223372036854775807"], "epochs: requires at most"),
    (["--accumulate", "0"], "--accumulate must be at least 1"),
    (["--lr", "0"], "--lr must be finite and above 0"),
    (["--lr", "-1"], "--lr must be finite and above 0, got -1.0"),
    (["--lr", "nan"], "--lr must be finite and above 0, got nan"),
    (["--lr", "inf"], "--lr must be finite and above 0, got inf"),
    (["--clip-global-norm", "0"], "--clip-global-norm must be finite and above 0"),
    (["--clip-global-norm", "-1"], "--clip-global-norm must be finite and above 0"),
    (["--clip-global-norm", "nan"], "--clip-global-norm must be finite and above 0"),
    (["--clip-global-norm", "inf"], "--clip-global-norm must be finite and above 0"),
    (["--augment", "twist=3"], "augmentation step 'twist=3': requires one of crop, shift"),
    (["--augment", "rotate=200"], "degrees 200 is outside 0 ... 180"),
    (["--weight-decay", "-1"], "weight decay of at least 0"),
    (["--init", "xavier"], "--init: initializer: requires one of zeros, ones"),
    (["--optimizer", "sgd", "--momentum", "2"], "momentum in 0 ..< 1, got 2.0"),
    (["--momentum", "0.5"], "--momentum and --nesterov belong to --optimizer sgd"),
    (["--optimizer", "lion"], "There is no optimizer 'lion'; there are: sgd, adam, adamw"),
    (["--model", "resnet"], "There is no model 'resnet'; there are: digits-cnn, mlp, resnet18"),
    (["--growth", "4"], "--depth and --growth belong to --model densenet"),
    (["--norm", "group"], "--norm belongs to --model resnet18"),
    (["--hidden", "0"], "--hidden widths must be at least 1"),
    (["--dropout", "1"], "--dropout must be at least 0 and below 1"),
    (["--label-smoothing", "nan"], "--label-smoothing must be at least 0"),
    (["--seed", "x"], "'x' is invalid for '--seed"),
    (["--train", "0"], "--train must be at least 1"),
    (["--test", "-5"], "--test must be at least 1, got -5"),
    (["--train", "99999999999999"], "exceed the limit of ten million"),
    (["--resume", "other"], "leave out --out"),
    (["--init-method", "mupp"], "--init-method is lsuv, fixup, mup[:WIDTH] or gradinit[:GAMMA]"),
    (["--init-method", "gradinit:0"], "--init-method is lsuv, fixup"),
    (["--init-method", "fixup"], "choose --model resnet18 --norm none"),
    (["--init-method", "mup:64"], "needs a width of at least that, got 8"),
    (["--init-method", "mup", "--init", "zeros"], "leave out --init"),
    (["--init-method", "mup", "--optimizer", "mirror"], "not for those of --optimizer mirror"),
    (["--init-method", "lsuv", "--unit-norm"], "--unit-norm sets each to 1 at the first step"),
    (["--init-method", "lsuv", "--init", "zeros"], "dense1.weight with a finite variance above 0"),
    (["--rewind", "every=0"], "an interval of 1 ... 512 steps, got 0"),
    (["--rewind", "every=soon"], "every=a whole number of steps, got 'every=soon'"),
    (["--rewind", "spike=nan"], "a finite spike threshold above 0, got nan"),
    (["--rewind", "shrink=1"], "a factor between 0 and 1, got 1.0"),
    (["--rewind", "at-most=0"], "a maximum of at least 1, got 0"),
    (["--rewind", "back=3"], "parts of every=STEPS, spike=DEVIATIONS|off"),
    (["--rewind", "every=1,every=2"], "requires every once"),
    (["--rewind", "every=2", "--on-fault", "skip"], "which --on-fault skip never does"),
    (["--maximum-skips", "2", "--on-fault", "raise"], "with --on-fault raise none is"),
    (["--maximum-skips", "-1"], "--maximum-skips must be from 0 to 1048576, got -1"),
    (["--on-fault", "maybe"], "There is no policy 'maybe'; there are: skip, raise, zero"),
    (["--clip", "global-norm"], "global-norm:limit, each a number"),
    (["--clip", "global-norm:nan"], "a finite limit above 0"),
    (["--clip", "clamp:1"], "one of adagc, autoclip, elementwise"),
    (["--clip", "zclip:2"], "an alpha between 0 and 1, got 2.0"),
    (["--schedule", "cosine"], "the form cosine:UPDATES[,END]"),
    (["--schedule", "cosin:9"], "one of constant | step:EVERY,FACTOR"),
    (["--plateau", "plateau:0"], "a patience of at least 1 epoch, got 0"),
    (["--plateau", "plateau:3,2"], "a factor above 0 and below 1, got 2.0"),
    (["--l1", "-1"], "--l1 must be finite and above 0, got -1.0; leave it out"),
    (["--l1-proximal", "nan"], "--l1-proximal must be finite and above 0, got nan"),
    (["--l2", "inf"], "--l2 must be finite and above 0, got inf"),
    (["--orthogonal", "0"], "--orthogonal must be finite and above 0, got 0.0"),
    (["--max-norm", "0"], "--max-norm must be finite and above 0"),
    (["--spectral-norm", "nan"], "--spectral-norm must be finite and above 0"),
    (["--noise", "-1"], "--noise must be finite and at least 0, got -1.0"),
    (["--l2", "0.1", "--weight-decay", "0.1"], "weights would decay twice"),
    (["--unit-norm", "--weight-decay", "0.1"], "the constraint undoes what the decay does"),
    (["--unit-norm", "--max-norm", "1"], "one constraint on the size of each unit"),
    (["--equity", "gradients", "--max-norm", "1"], "it moves sizes between layers"),
    (["--equity", "both"], "--equity is gradients or weights, got 'both'"),
    (["--equity", "weights:0"], "--equity takes a period of at least 1 step"),
    (["--flip", "maybe"], "--flip is permutation, stateSwap, incoming"),
    (["--flip", "incoming:x"], "--flip takes a period of at least 1 step"),
    (["--shrink", "recommended:2:10"], "a shrink factor of magnitude below 1"),
    (["--shrink", "recommended"], "--shrink is recommended:LAMBDA:PERIOD"),
    (["--coordinates", "sideways"], "--coordinates is cyclic or random"),
    (["--pair-label", "3"], "--pair-label belongs to --pair-weight"),
    (["--pair-weight", "nan"], "--pair-weight must be finite and at least 0"),
    (["--pair-weight", "1", "--pair-label", "99"], "a class in 0 ..< 10, got 99"),
    (["--map", "power:2"], "--map and --optimistic belong to --optimizer mirror"),
    (["--optimizer", "mirror", "--map", "power:0"], "a finite power q above 1, got 0.0"),
    (["--shadow", "0"], "--shadow must be at least 1, got 0"),
    (["--shadow-reroute"], "--shadow-reroute needs --shadow N"),
    (["--no-lint", "--strict"], "--strict takes warnings for errors"),
    (["--flight-steps", "-1"], "--flight-steps must be from 0 to 4096, got -1"),
    (["--tensorboard", ""], "--tensorboard needs the name of a folder"),
    (["--tensorboard", "/proc/board"], "/proc/board: cannot be created"),
    (["--tensorboard", "board", "--out", "/proc/run"], "/proc/run: cannot be created"),
    (["--tensorboard", "board", "--lr", "5", "--strict"], "is too large for the initialisation"),
    (["--optimizr", "sgd"], "Unknown option '--optimizr'. Did you mean '--optimizer'?"),
    (["--data", "nowhere"], "nowhere: does not exist; name a folder with IDX files"),
    (["--bogus"], "Unknown option '--bogus'"),
    (["extra"], "Unexpected argument 'extra'"),
  ]

  @Test("An option that cannot be used", arguments: refused)
  func refusesOptions(_ options: [String], _ sentence: String) throws {
    let bench = Workbench()
    let outcome = try bench.keel(Workbench.training + ["--out", "run"] + options)
    expectRefusal(outcome, saying: sentence)
    #expect(try bench.names() == [])
  }

  @Test("Options of one network are refused for another")
  func refusesForeignOptions() throws {
    let bench = Workbench()
    expectRefusal(
      try bench.keel("train", "--hidden", "5", "--out", "run"), saying: "belong to --model mlp")
    expectRefusal(
      try bench.keel("train", "--model", "densenet", "--depth", "12", "--out", "run"),
      saying: "--depth must be 6 n + 4 and at least 10, got 12")
    expectRefusal(
      try bench.keel("train", "--model", "densenet", "--growth", "-1", "--out", "run"),
      saying: "--growth must be at least 1, got -1")
    expectRefusal(
      try bench.keel("train", "--model", "resnet18", "--norm", "layer", "--out", "run"),
      saying: "There is no norm 'layer'; there are: batch, group, none")
    #expect(!bench.exists("run"))
  }

  /// What other commands refuse, with the exit code where it is not 2.
  static let refusedCommands: [(String, Int32, String)] = [
    ("fly", 2, "there is no command 'fly'; there are: devices, train, evaluate"),
    ("trian", 2, "there is no command 'trian'; did you mean train?"),
    ("train --device gpu99", 3, "no device matches 'gpu99'; available: cpu ("),
    ("train --device opencl:77", 3, "no device matches 'opencl:77'"),
    ("train --tf32 --device cpu", 3, "has no tensor cores; leave it out"),
    ("train --resume nowhere", 2, "nowhere: holds no run: there is no run.json in it"),
    ("train --model lstm --flip incoming --train 9 --test 9", 2, "there are no hidden units"),
    ("train --model conv-lstm --equity weights --train 9 --test 9", 2, "conv1 (Conv2D) stay as"),
    ("train --init-method mup --model lstm", 2, "choose --model mlp (--hidden) or densenet"),
    ("evaluate", 2, "Missing expected argument '<run>'"),
    ("evaluate nowhere", 2, "nowhere: holds no run"),
    ("evaluate run --batch 0", 2, "--batch must be at least 1, got 0"),
    ("predict nowhere a.png", 2, "nowhere: holds no run"),
    ("predict nowhere", 2, "Missing expected argument '<png> ...'"),
    ("report nowhere", 2, "there is no run.json and no flight.json in it"),
    ("report one two", 2, "Unexpected argument 'two'"),
    ("lint --batch 0", 2, "--batch must be at least 1, got 0"),
    ("lint --resume nowhere", 2, "nowhere: holds no run"),
    ("lint --data nowhere", 2, "nowhere: does not exist"),
    ("probe --batches 0", 2, "--batches must be at least 1, got 0"),
    ("probe --products -1", 2, "--products must be at least 0, got -1"),
    ("probe --init-method mup", 2, "which a probe has not"),
    ("probe --json /proc/probe.json", 2, "/proc/probe.json: cannot be created"),
    ("probe --out .", 2, ".: is a folder; name a file"),
    ("lab --catastrophe nosuch", 2, "no catastrophe is called 'nosuch'; there are quadratic"),
    ("lab --defence nosuch", 2, "no defence is called 'nosuch'; there are none, skip"),
    ("lab --out page.pdf", 2, "--out 'page.pdf' must end in .html or .md"),
    ("lab --out nowhere/page.html", 2, "nowhere/page.html: cannot be created"),
    ("lab --seed nan", 2, "'nan' is invalid for '--seed"),
    ("study nosuch", 2, "There is no study 'nosuch'; there are: initialisation"),
    ("study equity --data nowhere", 2, "nowhere: does not exist"),
    ("study equity --train 0", 2, "--train must be at least 1, got 0"),
    ("parity --case nosuch", 2, "no case is called or contains 'nosuch'"),
    ("parity --device gpu99", 3, "no device matches 'gpu99'"),
    ("bench --filter nosuch", 2, "no large benchmark contains 'nosuch'"),
    ("bench --size small --roofline a.svg", 2, "a roofline needs rates"),
    ("bench --size small --filter start/", 2, "no small benchmark contains 'start/'"),
    ("bench --filter matmul --json /proc/bench.json", 2, "/proc/bench.json: cannot be created"),
    ("devices --device gpu99", 3, "no device matches 'gpu99'"),
    ("doctor now", 2, "Unexpected argument 'now'"),
    ("ops now", 2, "Unexpected argument 'now'"),
    ("data fetch mnist", 2, "Missing expected argument '--to <dir>'"),
    ("data fetch letters --to data", 2, "there is no data set 'letters'; there are: mnist"),
    ("data fetch mnist --to data --from nonsense", 2, "nonsense: is not an http or https address"),
  ]

  @Test("Commands refuse what they cannot use", arguments: refusedCommands)
  func refusesCommands(_ line: String, _ status: Int32, _ sentence: String) throws {
    let bench = Workbench()
    expectRefusal(
      try bench.keel(line.split(separator: " ").map(String.init)), status: status,
      saying: sentence)
    #expect(try bench.names() == [])
  }

  @Test("What a finished run does not allow leaves it as it is")
  func refusesWithRun() throws {
    let bench = Workbench()
    #expect(try bench.keel(Workbench.training + ["--out", "run"]).status == 0)
    let before = try bench.names(in: "run").map { bench.bytes("run/\($0)") }
    for (line, sentence) in [
      ("train --resume run", "run: the run is complete, 2 epochs"),
      ("train --resume run --lr 1", "leave out --lr"),
      ("train --out run", "run: holds another run"),
      ("train --out run/run.json", "run/run.json: is a file, not a folder"),
      ("train --tensorboard run/run.json --train 9 --test 9", "is a file, not a folder"),
      ("train --data run", "run: holds neither train- nor t10k-"),
      ("evaluate run --data nowhere", "nowhere: does not exist"),
      ("predict run nosuch.png", "nosuch.png: does not exist"),
      ("predict run run/run.json", "run/run.json, byte 0: is not a PNG image"),
      ("predict run run", "run: is not a regular file"),
      ("study equity --quick --out run/run.json/x --train 9 --test 9", "Not a directory"),
      ("data fetch mnist --to run/run.json", "run/run.json: is a file, not a folder"),
    ] {
      expectRefusal(try bench.keel(line.split(separator: " ").map(String.init)), saying: sentence)
    }
    #expect(try bench.names() == ["run"])
    #expect(try bench.names(in: "run").map { bench.bytes("run/\($0)") } == before)
  }

  @Test("Help and version are no errors")
  func helps() throws {
    let bench = Workbench()
    let help = try bench.keel("--help")
    #expect(help.status == 0 && help.complaint.isEmpty)
    for name in [
      "devices", "train", "evaluate", "predict", "parity", "bench", "ops", "doctor", "data",
      "lint", "probe",
    ] { #expect(help.output.contains("\n  \(name) ")) }
    let version = try bench.keel("--version")
    #expect(version.status == 0 && version.output.hasPrefix("keel "))
  }

  @Test("A wrong KEEL_LOG is told and does no harm")
  func warnsOfLogLevel() throws {
    let outcome = try Workbench().keel(["ops"], environment: ["KEEL_LOG": "loud"])
    #expect(outcome.status == 0 && outcome.output.contains("matmul"))
    #expect(outcome.complaint.contains("KEEL_LOG is 'loud'; expected trace, debug, info"))
  }
}
