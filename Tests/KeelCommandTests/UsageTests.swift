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

  @Test("Commands refuse what they do not know")
  func refusesCommands() throws {
    let bench = Workbench()
    expectRefusal(try bench.keel("fly"), saying: "Unexpected argument 'fly'")
    expectRefusal(try bench.keel("data", "fetch", "mnist"), saying: "'--to <dir>'")
    expectRefusal(
      try bench.keel("data", "fetch", "letters", "--to", "data"), saying: "mnist, fashion-mnist")
    expectRefusal(try bench.keel("parity", "--case", "nosuch"), saying: "'nosuch'")
    expectRefusal(try bench.keel("bench", "--filter", "nosuch"), saying: "'nosuch'")
    #expect(try bench.names() == [])
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
